"""Generated files through the real pipeline, against models that know no SQL."""

import csv
import io
import string
from collections.abc import Callable

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.models import Product
from catalog.values import NULL_WORDS
from imports.models import ImportJob

pytestmark = pytest.mark.usefixtures("site")

some = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

skus = st.text(string.ascii_letters[:4] + string.ascii_uppercase[:4] + "1-", min_size=1, max_size=3)
names = st.text(string.ascii_letters + ' ,"\n', min_size=1, max_size=10).filter(
    lambda name: name.strip() and name.strip() not in NULL_WORDS
)
texts = st.text(string.ascii_letters + "\n,", max_size=9).filter(
    lambda text: text.strip() not in NULL_WORDS
)
prices = st.decimals(0, 99_999, places=2).map(str)
actives = st.sampled_from(["true", "false", "yes", "no", ""])
good_rows = st.lists(
    st.tuples(skus, names, texts, prices, actives),
    max_size=40,
)


def as_csv(rows: list[tuple[str, ...]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["sku", "name", "description", "price", "active"])
    writer.writerows(rows)
    return buffer.getvalue()


def clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE catalog_product")


@some
@given(first=good_rows, second=good_rows)
def test_the_catalogue_is_what_a_dictionary_would_hold(
    run_import: Callable[..., ImportJob],
    first: list[tuple[str, ...]],
    second: list[tuple[str, ...]],
) -> None:
    """Two imports, one after the other; per SKU, the last line wins."""
    clear()
    model: dict[str, tuple[str, str, str, str, bool]] = {}
    for rows in (first, second):
        job = run_import(as_csv(rows))
        assert job.status == "completed", job.error
        before = dict(model)
        for sku, name, description, price, active in rows:
            stored = before.get(sku.lower())
            kept = stored[4] if stored else True
            model[sku.lower()] = (
                sku,
                name.strip(),
                "" if description.isspace() else description,
                price,
                {"true": True, "yes": True, "": kept}.get(active, False),
            )
        touched = {row[0].lower() for row in rows}
        assert job.created == len(touched - before.keys())
        assert job.unchanged == sum(model[key] == before.get(key) for key in touched)
        assert job.superseded == len(rows) - len(touched)
    stored_now = {
        product.sku.lower(): (
            product.sku,
            product.name,
            product.description,
            str(product.price),
            product.active,
        )
        for product in Product.objects.all()
    }
    assert stored_now == model


cells = st.one_of(
    st.sampled_from(["", "A-1", "a-1", "1.00", "true", "maybe", "1e5", '"', '"open', 'x"y', "\0"]),
    st.text(max_size=6),
)
any_rows = st.lists(st.lists(cells, max_size=6), max_size=25)


@some
@given(rows=any_rows, quoted=st.booleans())
def test_every_record_is_accounted_for_whatever_the_file(
    run_import: Callable[..., ImportJob], rows: list[list[str]], quoted: bool
) -> None:
    if quoted:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n", escapechar="\\")
        writer.writerows(rows)
        body = buffer.getvalue()
    else:
        body = "\n".join(",".join(row) for row in rows)
    content = ("sku,name,description,price,active\n" + body).encode("utf-8", "surrogatepass")
    job = run_import(content)
    assert job.status == "completed", job.error
    assert job.accounted_records == job.total_records == job.processed_records
    assert job.errors.count() == job.rejected
    assert job.superseded_records.count() == job.superseded
