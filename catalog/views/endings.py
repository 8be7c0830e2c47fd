"""How an act on products ends: where the person was, with what happened and an Undo."""

from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, QueryDict
from django.urls import reverse

from catalog.models import ChangeSet
from catalog.operations.undo import may_undo
from product_importer.common.parsing import TEXT_MAX_LENGTH

# What ``templates/product_importer/_messages.html`` makes of a message's tag.
UNDO, FOLLOW = "undo-", "follow-"


def list_place(request: HttpRequest) -> str:
    """The query of the product list that a person comes from: filters, order, place.

    As a form or link says (``back``), else as the browser tells.
    """
    given = request.POST.get("back", request.GET.get("back"))
    if given is None:
        came_from = urlsplit(request.headers.get("Referer", ""))
        same = came_from.netloc == request.get_host()
        given = came_from.query if same and came_from.path == reverse("product-list") else ""
    return QueryDict(given[:TEXT_MAX_LENGTH]).urlencode()


def list_url(place: str) -> str:
    """The address of the product list at a place of ``list_place``."""
    return reverse("product-list") + (f"?{place}" if place else "")


def tell_done(request: HttpRequest, sentence: str, change_set: ChangeSet | None) -> None:
    """Tell what happened, and offer to take it back if this person may."""
    undoable = change_set is not None and may_undo(change_set, request.user)
    tag = f"{UNDO}{change_set.pk}" if change_set and undoable else ""
    messages.success(request, sentence, extra_tags=tag)


def tell_begun(request: HttpRequest, sentence: str, change_set: ChangeSet) -> None:
    """Tell what a worker does now; the message follows it to its end."""
    messages.info(request, sentence, extra_tags=f"{FOLLOW}{change_set.pk}")
