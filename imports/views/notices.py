"""The pages of the notices: what I was told, what I am told of, and the chats."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, permission_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from imports.models import NAME_MAX_LENGTH, Notice, NoticeRecipient, Supplier
from imports.operations.notices import notices as operations
from imports.operations.notices.text import counts_of, recipient_of_token
from product_importer.common.address_guard import MAX_LENGTH
from product_importer.common.forms import add_refusals
from product_importer.common.parsing import page_number

may_see = permission_required("imports.view_importjob", raise_exception=True)
may_change = permission_required("imports.change_noticerecipient", raise_exception=True)

KINDS = [choice for choice in Notice.Kind.choices if choice[0] != Notice.Kind.TEST]


class ChoicesForm(forms.Form):
    """What a person or a chat is told of. The rules are the operation's."""

    kinds = forms.MultipleChoiceField(
        label="Tell of",
        choices=KINDS,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    every_supplier = forms.TypedChoiceField(
        label="Suppliers",
        choices=[
            ("yes", "All of them, and files that belong to none"),
            ("no", "Those that are ticked:"),
        ],
        coerce=lambda text: text == "yes",
        widget=forms.RadioSelect,
    )
    suppliers = forms.ModelMultipleChoiceField(
        queryset=Supplier.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    @property
    def values(self) -> dict[str, Any]:
        """What the operation takes."""
        given = dict(self.cleaned_data)
        every = given.pop("every_supplier")
        return {**given, "suppliers": None if every else [one.pk for one in given["suppliers"]]}


class OwnForm(ChoicesForm):
    own_only = forms.TypedChoiceField(
        label="Whose imports",
        choices=[("yes", "Those that I start"), ("no", "Everybody’s")],
        coerce=lambda text: text == "yes",
        widget=forms.RadioSelect,
    )
    enabled = forms.BooleanField(label="Send me e-mails", required=False)


class ChatForm(ChoicesForm):
    name = forms.CharField(max_length=NAME_MAX_LENGTH)
    url = forms.CharField(
        label="URL",
        max_length=MAX_LENGTH,
        widget=forms.URLInput(attrs={"placeholder": "https://hooks.slack.com/services/…"}),
    )
    enabled = forms.BooleanField(label="Send messages", required=False)


def _initial(recipient: NoticeRecipient) -> dict[str, Any]:
    return {
        "kinds": recipient.kinds,
        "every_supplier": "yes" if recipient.every_supplier else "no",
        "suppliers": [] if recipient.pk is None else list(recipient.suppliers.all()),
        "own_only": "yes" if recipient.own_only else "no",
        "enabled": recipient.enabled,
        "name": recipient.name,
    }


# --- One's own ------------------------------------------------------------------------


@require_GET
@may_see
def notice_list(request: HttpRequest) -> HttpResponse:
    """What this person was told, the newest first."""
    found = operations.notices_of(_user(request)).order_by("-id")
    page = Paginator(found, 50).get_page(page_number(request))
    told = [(delivery, counts_of(delivery.notice)) for delivery in page.object_list]
    context = {"title": "Notices", "page": page, "told": told}
    return render(request, "imports/notices.html", context)


@require_http_methods(["GET", "POST"])
@may_see
def notice_settings(request: HttpRequest) -> HttpResponse:
    """What this person is told of, and how."""
    user = _user(request)
    recipient = operations.settings_of(user)
    form = OwnForm(request.POST or None, initial=_initial(recipient))
    if request.method == "POST" and form.is_valid():
        operations.change_settings(user=user, **form.values)
        messages.success(request, "Saved. You are told of what is ticked from now on.")
        return redirect("notice-settings")
    context = {
        "title": "What you are told of",
        "form": form,
        "recipient": recipient,
        "mail_is_set_up": settings.EMAIL_IS_SET_UP,
    }
    return render(
        request, "imports/notice_settings.html", context, status=422 if form.errors else 200
    )


@require_POST
@may_see
def notice_test(request: HttpRequest) -> HttpResponse:
    """Send this person a test by e-mail."""
    recipient = operations.change_settings(user=_user(request))
    if operations.send_test(recipient=recipient):
        messages.success(request, f"A test is on its way to {_user(request).email}.")
    else:
        messages.error(request, "No e-mails go to you, as things are set. See below.")
    return redirect("notice-settings")


@csrf_exempt  # the link is the proof; mail programs post to it (RFC 8058)
@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def notice_unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Ask, and send no more e-mails to whom the link was sent; without a log-in."""
    try:
        recipient_id = recipient_of_token(token)
    except BadSignature:
        raise Http404("This link is not complete. Copy all of it from the e-mail.") from None
    done = request.method == "POST"
    if done:
        operations.unsubscribe(recipient_id=recipient_id)
    return render(request, "imports/notice_unsubscribe.html", {"done": done})


# --- Chats ----------------------------------------------------------------------------


@require_GET
@may_change
def chat_list(request: HttpRequest) -> HttpResponse:
    """The chats, and how the mail server does."""
    failing = NoticeRecipient.objects.exclude(user=None).exclude(failing_since=None)
    context = {
        "title": "Chats",
        "chats": NoticeRecipient.objects.filter(user=None).order_by("name"),
        "mail_is_set_up": settings.EMAIL_IS_SET_UP,
        "failing": failing.select_related("user").order_by("-failing_since")[:5],
    }
    return render(request, "imports/chats.html", context)


@require_http_methods(["GET", "POST"])
@may_change
def chat_new(request: HttpRequest) -> HttpResponse:
    fresh = NoticeRecipient(own_only=False)
    form = ChatForm(request.POST or None, initial=_initial(fresh))
    if request.method == "POST" and form.is_valid():
        try:
            chat = operations.create_chat(**form.values)
        except operations.Invalid as error:
            add_refusals(form, error)
        else:
            messages.success(request, f"“{chat.name}” is added. Send a test to see that it works.")
            return redirect("chat-list")
    return _chat_form(request, form, {"title": "New chat"})


@require_http_methods(["GET", "POST"])
@may_change
def chat_detail(request: HttpRequest, pk: int) -> HttpResponse:
    chat = _chat(pk)
    form = ChatForm(request.POST or None, initial=_initial(chat))
    form.fields["url"].required = False
    form.fields["url"].help_text = f"Leave it blank to keep {chat.shown}"
    if request.method == "POST" and form.is_valid():
        values = form.values
        if not values["url"]:
            del values["url"]
        try:
            operations.change_chat(recipient_id=pk, **values)
        except operations.Invalid as error:
            add_refusals(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("chat-list")
    return _chat_form(request, form, {"title": chat.name, "chat": chat})


@require_http_methods(["GET", "POST"])
@may_change
def chat_delete(request: HttpRequest, pk: int) -> HttpResponse:
    chat = _chat(pk)
    if request.method == "POST":
        operations.delete_chat(recipient_id=pk)
        messages.success(request, f"Nothing more is sent to “{chat.name}”.")
        return redirect("chat-list")
    return render(request, "imports/chat_delete.html", {"title": "Delete", "chat": chat})


@require_POST
@may_change
def chat_test(request: HttpRequest, pk: int) -> HttpResponse:
    chat = _chat(pk)
    if operations.send_test(recipient=chat):
        messages.success(request, f"A test is on its way to “{chat.name}”.")
    else:
        messages.error(request, f"“{chat.name}” is switched off.")
    return redirect("chat-list")


def _chat_form(request: HttpRequest, form: ChatForm, context: dict[str, Any]) -> HttpResponse:
    status = 422 if form.errors else 200
    return render(request, "imports/chat_form.html", {**context, "form": form}, status=status)


def _chat(pk: int) -> NoticeRecipient:
    return get_object_or_404(NoticeRecipient, pk=pk, user=None)


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # every page needs a login
