"""Lists of the admin, whose pages have numbers, without counting what takes long to count."""

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

from catalog.models import Product
from catalog.queries.pagination import ids_at
from catalog.queries.products import count_products, estimated_rows


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


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]
    """Does not count millions of rows to show the first fifty."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet) and not rows.query.where:
            return estimated_rows(rows.model)
        return super().count
