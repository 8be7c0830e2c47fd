"""The catalogue in the admin. Every write goes through an operation, as on the pages."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.paginator import Page, Paginator
from django.db.models import Prefetch, Q, QuerySet
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import mark_safe
from unfold.decorators import action, display
from unfold.views import ChangeList

from catalog.field_values import in_words
from catalog.models import (
    Change,
    ChangeSet,
    ExportFormat,
    Field,
    Product,
    RemovedProduct,
    SearchIndex,
)
from catalog.operations import products as operations
from catalog.operations.search_index import describe_search_index
from catalog.operations.undo import undo_of, why_not
from catalog.queries.filters import BadFilter, active_filters, filtered_products
from catalog.queries.pagination import ORDERINGS, ids_at, order_by
from catalog.queries.products import count_products, estimated_rows
from catalog.views.bulk_confirm import ask
from catalog.views.forms import ProductForm, product_form
from catalog.views.own_inputs import PREFIX
from product_importer.common.actor import actor_of
from product_importer.common.parsing import whole_number
from webhooks.admin import ListAdmin, ReadOnlyAdmin


class ProductPaginator(Paginator):  # type: ignore[type-arg]
    """Counts once per change of the catalogue, not on each page; finds far pages by their ids."""

    object_list: QuerySet[Product]

    @cached_property
    def count(self) -> int:
        return count_products(self.object_list)

    def page(self, number: int | str) -> Page:  # type: ignore[type-arg]
        number = self.validate_number(number)
        ids = ids_at(
            self.object_list,
            start=(number - 1) * self.per_page,
            size=self.per_page,
            total=self.count,
        )
        return Page(self.object_list.filter(pk__in=ids), number, self)


class ProductList(ChangeList):
    """Its orders are those of the pages, and what fills one page is found as on more of them."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Product]) -> list[Any]:
        found: list[Any] = super().get_ordering(request, queryset)
        one = len(found) == 1 or found[1:] == ["id"]
        orders = [sign + name for name in ORDERINGS for sign in ("", "-")]
        name = next((one for one in orders if found[0] in (one, order_by(one)[0])), "")
        return order_by(name) if one and name else found

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]
    """Does not count millions of rows to show the first fifty."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet) and not rows.query.where:
            return estimated_rows(rows.model)
        return super().count


@admin.register(Product)
class ProductAdmin(ListAdmin):
    not_listed = ("description", "own_fields")
    form = ProductForm
    fields = ["sku", "name", "description", "price", "active", "seen_version"]
    list_display = ["shown_sku", "name", "price", "active", "updated_at", "page"]
    list_filter = ["active"]
    search_fields = ["sku", "name", "description"]
    search_help_text = "A part of the SKU, the name or the description"
    ordering = ["id"]
    show_facets = admin.ShowFacets.NEVER  # each would count the catalogue
    show_full_result_count = False
    paginator = ProductPaginator
    list_per_page = 50
    list_max_show_all = 0
    actions = ["activate", "deactivate", "delete", "export"]

    @display(description="SKU", ordering=Lower("sku"))
    def shown_sku(self, product: Product) -> str:
        return product.sku

    @display(description="Page")
    def page(self, product: Product) -> str:
        return format_html('<a href="{}">History</a>', reverse("product-detail", args=[product.pk]))

    # --- The list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ProductList]:
        return ProductList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Product], search_term: str
    ) -> tuple[QuerySet[Product], bool]:
        try:
            return queryset & filtered_products({"q": search_term}), False
        except BadFilter as error:
            self.message_user(request, str(error), messages.ERROR)
            return queryset.none(), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """No others by hand in the address: an act on all that match has to know its filters."""
        return lookup == "active__exact"

    # --- One product

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Those of the five, and the catalogue's own: as inputs, or to look at as one."""
        if obj is not None and not self.has_change_permission(request, obj):
            return [*self.fields, "own_values"]
        own = Field.objects.filter(retired=False).values_list("key", flat=True)
        return [*self.fields, *(PREFIX + key for key in own)]

    @display(description="Fields of your own")
    def own_values(self, product: Product) -> str:
        stored = product.own_fields or {}
        lines = [
            (field.label, in_words(field.definition, stored[field.key]))
            for field in Field.objects.filter(retired=False)
            if field.key in stored
        ]
        return format_html_join(mark_safe("<br>"), "{}: {}", lines) or "—"

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **{"form": product_form(), **kwargs})
        form.actor = request.user  # the class is made for this request
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The form has saved it (``ProductForm``)."""

    def delete_model(self, request: HttpRequest, obj: Product) -> None:
        try:
            operations.delete_product(product_id=obj.pk, actor=actor_of(request))
        except Product.DoesNotExist:
            raise Http404 from None

    # --- Many products

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)  # it would go past the operations
        return found

    def has_bulk_delete_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("catalog.bulk_delete_product")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("catalog.export_product")

    @action(description="Activate …", permissions=["change"])
    def activate(self, request: HttpRequest, products: QuerySet[Product]) -> HttpResponse:
        return self._ask(request, "activate")

    @action(description="Deactivate …", permissions=["change"])
    def deactivate(self, request: HttpRequest, products: QuerySet[Product]) -> HttpResponse:
        return self._ask(request, "deactivate")

    @action(description="Delete …", permissions=["bulk_delete"])
    def delete(self, request: HttpRequest, products: QuerySet[Product]) -> HttpResponse:
        return self._ask(request, "delete")

    @action(description="Export everything that matches, as CSV", permissions=["export"])
    def export(self, request: HttpRequest, products: QuerySet[Product]) -> HttpResponse:
        return redirect(f"{reverse('product-export')}?{urlencode(_filters(request))}")

    def _ask(self, request: HttpRequest, act: str) -> HttpResponse:
        if request.POST.get("select_across") == "1":
            wanted: dict[str, Any] = {"filters": _filters(request)}
        else:
            ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
            ids = {number for text in ticked if (number := whole_number(text)) is not None}
            wanted = {"ids": sorted(ids)}
        return ask(request, act, wanted, shell=self.admin_site.each_context(request))


def _filters(request: HttpRequest) -> dict[str, str]:
    """The list's address in the words of ``catalog.queries.filters``."""
    given = request.GET
    return active_filters({"q": given.get("q"), "active": given.get("active__exact")})


@admin.register(SearchIndex)
class SearchIndexAdmin(ReadOnlyAdmin):
    """How far the search index has come; a sentence above the list says how it stands."""

    list_display = ["begun_at", "product", "change", "moved_at", "caught_up_at"]
    list_display_links = None

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.message_user(request, describe_search_index())
        page: HttpResponse = super().changelist_view(request, extra_context)
        return page


@admin.register(ChangeSet)
class ChangeSetAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "kind",
        "status",
        "actor",
        "created",
        "updated",
        "deleted",
        "conflicts",
        "created_at",
        "undo",
        "page",
    ]
    list_filter = ["kind", "status"]
    list_select_related = ["actor"]
    not_listed = ("request", "error")
    readonly_fields = ["undo", "page"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChangeSet]:
        found: QuerySet[ChangeSet] = super().get_queryset(request)
        brief = ChangeSet.objects.defer("request", "error")
        return found.prefetch_related(
            Prefetch("undos", brief.prefetch_related(Prefetch("undos", brief)))
        )

    @display(description="Page")
    def page(self, change_set: ChangeSet) -> str:
        return format_html('<a href="{}">Open</a>', reverse("change-detail", args=[change_set.pk]))

    @display(description="Undo")
    def undo(self, change_set: ChangeSet) -> str:
        """The page that tells in numbers what would happen, and asks for the permission."""
        standing = undo_of(change_set)
        if standing is not None:
            page, word = reverse("change-detail", args=[standing.pk]), f"undone by {standing.pk}"
        elif why_not(change_set):
            return "—"
        else:
            page, word = reverse("change-undo", args=[change_set.pk]), "Undo …"
        return format_html('<a href="{}">{}</a>', page, word)


def _change_set_link(number: int) -> str:
    return format_html('<a href="{}">{}</a>', reverse("change-detail", args=[number]), number)


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    list_display = ["id", "product_id", "what", "old_version", "old_updated_at", "in_change_set"]
    search_fields = ["=product__id", "=change_set__id"]
    search_help_text = "Number of the product or of the change set"
    ordering = ["-id"]
    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50
    fields = ["id", "product_id", "what", "in_change_set"]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Change], search_term: str
    ) -> tuple[QuerySet[Change], bool]:
        return _by_number(queryset, search_term, "product_id", "change_set_id"), False

    @display(description="Before")
    def what(self, change: Change) -> str:
        named = [field for field in Change.Field if change.fields & field]
        return ", ".join(
            f"{field.name.lower()}: {str(getattr(change, f'old_{field.name.lower()}'))[:60]}"
            for field in named
        )

    @display(description="Change set")
    def in_change_set(self, change: Change) -> str:
        return _change_set_link(change.change_set_id)


@admin.register(RemovedProduct)
class RemovedProductAdmin(ReadOnlyAdmin):
    """A list only: a product can be deleted more than once, so its number is no key."""

    list_display = ["id", "sku", "name", "price", "active", "version", "in_change_set"]
    list_display_links = None
    not_listed = ("description", "own_fields")
    search_fields = ["=id", "=change_set__id"]
    search_help_text = "Number of the product or of the change set"
    sortable_by = ()
    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RemovedProduct], search_term: str
    ) -> tuple[QuerySet[RemovedProduct], bool]:
        return _by_number(queryset, search_term, "id", "change_set_id"), False

    @display(description="Change set")
    def in_change_set(self, removed: RemovedProduct) -> str:
        return _change_set_link(removed.change_set_id)


def _by_number(queryset: QuerySet[Any], text: str, *names: str) -> QuerySet[Any]:
    """Rows where one of the columns is this number; a text that is none matches nothing."""
    if not text:
        return queryset
    number = whole_number(text)
    if number is None:
        return queryset.none()
    condition = Q()
    for name in names:
        condition |= Q(**{name: number})
    return queryset.filter(condition)


@admin.register(Field)
class FieldAdmin(ReadOnlyAdmin):
    """Fields are made and changed on their pages, which look whether the stored values fit."""

    list_display = ["label", "key", "type", "required", "unique", "in_list", "retired", "page"]
    list_filter = ["type", "retired"]
    not_listed = ("options",)
    search_fields = ["label", "key"]

    @display(description="Page")
    def page(self, field: Field) -> str:
        return format_html('<a href="{}">Change</a>', reverse("field-detail", args=[field.pk]))


@admin.register(ExportFormat)
class ExportFormatAdmin(ReadOnlyAdmin):
    """Export formats are made and changed on their pages, which know the fields that there are."""

    list_display = ["name", "updated_at", "page"]
    not_listed = ("columns",)
    search_fields = ["name"]

    @display(description="Page")
    def page(self, found: ExportFormat) -> str:
        here = reverse("export-format-detail", args=[found.pk])
        return format_html('<a href="{}">Change</a>', here)
