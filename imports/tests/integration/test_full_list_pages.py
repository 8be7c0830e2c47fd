"""The pages and the API of full lists, stop rules, and who brought a product in."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from catalog.models import Product
from catalog.operations import fields
from conftest import Messages
from imports.models import Format, ImportJob, Supplier
from imports.operations import suppliers
from imports.tests.supplier_files import HEADER, make_format, records

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    def go(content: str, **values: Any) -> ImportJob:
        job = upload(content, **values)
        messages.run_all()
        job.refresh_from_db()
        return job

    return go


@pytest.fixture
def a_format() -> Format:
    return make_format("Mueller")


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def streamed(answer: Any) -> str:
    async def body() -> bytes:
        return b"".join([bytes(piece) async for piece in answer])

    return async_to_sync(body)().decode()


# --- Settings -------------------------------------------------------------------------


def test_what_is_usual_is_changed_on_the_suppliers_page(page: Client, a_format: Format) -> None:
    path = f"/suppliers/{a_format.supplier_id}/"
    posted = {"stop_refused": "7", "stop_missing": "", "stop_age": " 3 ", "second_person": "on"}
    assert page.post(f"{path}settings/", posted)["Location"] == path
    supplier = Supplier.objects.get()
    assert (supplier.stop_refused, supplier.stop_missing, supplier.stop_age) == (7, None, 3)
    assert (supplier.second_person, supplier.stop_columns) == (True, False)
    shown = text(page.get(path))
    assert 'name="stop_refused" inputmode="numeric" size="4" maxlength="5" value="7"' in shown


@pytest.mark.parametrize("wrong", ["101", "5.5", "-1", "many"])
def test_a_wrong_bound_is_told_beside_it_and_nothing_is_saved(
    page: Client, a_format: Format, wrong: str
) -> None:
    posted = {"stop_refused": wrong, "stop_fewer": "50"}
    answer = page.post(f"/suppliers/{a_format.supplier_id}/settings/", posted)
    assert answer.status_code == 400
    shown = text(answer)
    assert 'aria-describedby="error-stop_refused"> % of the records' in shown
    assert "Write a whole number from 0 to 100, or nothing." in shown
    assert 'value="50"' in shown  # as typed
    assert Supplier.objects.get().stop_fewer is None


def test_an_editor_sees_what_is_usual_and_cannot_change_it(
    client: Client, make_user: Callable[..., User], static_files: None, a_format: Format
) -> None:
    client.force_login(make_user("eve", "editor"))
    shown = text(client.get(f"/suppliers/{a_format.supplier_id}/"))
    assert "<fieldset disabled> <legend>An import waits if" in shown
    assert "Save what is usual" not in shown


def test_a_format_says_that_its_files_are_full_lists(page: Client, a_format: Format) -> None:
    fields.create_field(data={"label": "Listed", "type": "choice", "options": {"choices": ["no"]}})
    path = f"/suppliers/formats/{a_format.pk}/"
    page.post(f"{path}full-list/", {"action": "delete"})
    a_format.refresh_from_db()
    assert (a_format.full_list, a_format.if_missing) == (False, {"action": "delete"})
    posted = {"full_list": "on", "action": "set", "field": "listed", "value": "No"}
    assert page.post(f"{path}full-list/", posted)["Location"] == path
    a_format.refresh_from_db()
    assert a_format.full_list
    assert a_format.if_missing == {"action": "set", "field": "listed", "value": "no"}
    assert a_format.version == 1  # how it is read is as before
    assert 'name="value" maxlength="1000" value="no"' in text(page.get(path))


def test_a_value_that_the_field_does_not_take_is_told(page: Client, a_format: Format) -> None:
    fields.create_field(data={"label": "Listed", "type": "choice", "options": {"choices": ["no"]}})
    posted = {"full_list": "on", "action": "set", "field": "listed", "value": "perhaps"}
    answer = page.post(f"/suppliers/formats/{a_format.pk}/full-list/", posted)
    assert answer.status_code == 400
    assert 'value="perhaps"' in text(answer)
    a_format.refresh_from_db()
    assert a_format.if_missing == {"action": "deactivate"}


def test_only_who_may_delete_many_products_has_full_lists_delete(
    client: Client, make_user: Callable[..., User], static_files: None, a_format: Format
) -> None:
    client.force_login(make_user("eve", "editor"))
    path, api = f"/suppliers/formats/{a_format.pk}/", f"/api/v1/formats/{a_format.pk}/"

    def patch(**values: Any) -> int:
        return client.patch(api, values, content_type="application/json").status_code

    delete = {"action": "delete"}
    assert client.post(f"{path}full-list/", delete).status_code == 403
    assert patch(if_missing=delete) == 403
    assert patch(full_list=True) == 200
    suppliers.change_format(format_id=a_format.pk, user=None, if_missing=delete, full_list=False)
    assert patch(full_list=True) == 403
    assert patch(name="Weekly list") == 200
    assert "Save</button>" not in text(client.get(path)).partition("What such a file lacks")[2]


def test_the_api_has_the_settings(page: Client, a_format: Format) -> None:
    path = f"/api/v1/suppliers/{a_format.supplier_id}/"
    change = {"stop_age": 2, "stop_fewer": None, "second_person": True}
    told = page.patch(path, change, content_type="application/json").json()
    assert {name: told[name] for name in change} == change
    wrong = page.patch(path, {"stop_refused": 101}, content_type="application/json")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["stop_refused"])
    path = f"/api/v1/formats/{a_format.pk}/"
    wrong = page.patch(path, {"if_missing": {"action": "x"}}, content_type="application/json")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["if_missing"])


# --- An import ------------------------------------------------------------------------


def test_the_pages_of_an_import_show_what_is_missing_before_and_after(
    page: Client, run: Callable[..., ImportJob], messages: Messages, a_format: Format
) -> None:
    run(HEADER + records(4), format=a_format)
    job = run(HEADER + records(2), format=a_format, review=True)
    shown = text(page.get(f"/imports/{job.pk}/"))
    assert '?action=missing"> <b>2</b><i>missing</i><small>not in the full list' in shown
    assert "Apply 2 changes" in shown
    shown = text(page.get(f"/imports/{job.pk}/review/?action=missing"))
    assert shown.count("not in the file") == 2
    assert '<span class="pi-change pi-change-missing">deactivated</span>' in shown
    listed = streamed(page.get(f"/imports/{job.pk}/review.csv?action=missing"))
    assert "\r\n,missing,P-002,Thing 2," in listed
    page.post(f"/imports/{job.pk}/apply/", {"version": job.review_version})
    messages.run_all()
    shown = text(page.get(f"/imports/{job.pk}/"))
    assert "<b>2</b><i>missing</i><small>not in the full list: deactivated" in shown
    assert Product.objects.filter(active=False).count() == 2


def test_what_is_unticked_in_the_review_stays(
    page: Client, run: Callable[..., ImportJob], messages: Messages, a_format: Format
) -> None:
    run(HEADER + records(4), format=a_format)
    job = run(HEADER + records(2), format=a_format, review=True)
    kept, gone = Product.objects.filter(sku__in=["P-002", "P-003"]).order_by("sku")
    posted = {"line": [-kept.pk, -gone.pk], "keep": [-gone.pk]}
    answer = page.post(f"/imports/{job.pk}/leave-out/", posted, headers={"hx-request": "true"})
    assert "Apply 1 change<" in text(answer)
    job.refresh_from_db()
    page.post(f"/imports/{job.pk}/apply/", {"version": job.review_version})
    messages.run_all()
    assert list(Product.objects.filter(active=False)) == [gone]


def test_a_page_says_why_nothing_was_looked_for(
    page: Client, run: Callable[..., ImportJob], a_format: Format
) -> None:
    run(HEADER + records(4), format=a_format)
    job = run(HEADER + "P-000,Thing 0,x\nP-001,Thing 1,100\n", format=a_format)
    shown = text(page.get(f"/imports/{job.pk}/"))
    assert "1 of its 2 records were refused, more than 5 %" in shown
    assert "not looked for, see above" in shown


def test_the_api_tells_of_missing_products_and_takes_full_lists(
    page: Client, run: Callable[..., ImportJob], messages: Messages, a_format: Format
) -> None:
    suppliers.change_format(format_id=a_format.pk, user=None, full_list=False)
    run(HEADER + records(4), format=a_format)
    file = SimpleUploadedFile("list.csv", (HEADER + records(3)).encode())
    posted = {"file": file, "format": a_format.pk, "full_list": "true", "review": "true"}
    job = page.post("/api/v1/imports/", posted).json()
    messages.run_all()
    told = page.get(f"/api/v1/imports/{job['id']}/").json()
    assert (told["full_list"], told["missing"]) == (True, 0)
    diff = page.get(f"/api/v1/imports/{job['id']}/diff/?action=missing").json()
    assert diff["counts"]["missing"] == 1
    [row] = diff["results"]
    assert (row["sku"], row["line"], row["action"]) == ("P-003", None, "missing")
    assert row["changes"] == {"active": [True, False]}
    page.post(f"/api/v1/imports/{job['id']}/apply/")
    messages.run_all()
    assert page.get(f"/api/v1/imports/{job['id']}/").json()["missing"] == 1


@pytest.mark.parametrize("by", ["page", "api"])
def test_a_file_is_told_to_be_a_suppliers_whole_list(
    page: Client, run: Callable[..., ImportJob], messages: Messages, a_format: Format, by: str
) -> None:
    """Of a supplier that no column tells, by the choices beside the drop zone."""
    supplier = suppliers.create_supplier(name="Schulz & Söhne", user=None)
    run(HEADER + records(4, word="S"), supplier=supplier)
    offered = f'<option value="{supplier.pk}">Schulz &amp; Söhne</option>'
    assert offered in text(page.get("/?formats=1"))
    file = SimpleUploadedFile("list.csv", (HEADER + records(3, word="S")).encode())
    path, whose = {
        "page": ("/imports/", str(supplier.pk)),
        "api": ("/api/v1/imports/", "schulz & söhne"),
    }[by]
    posted = {"file": file, "supplier": whose, "full_list": "true", "checks": "warn"}
    page.post(path, posted)
    messages.run_all()
    job = ImportJob.objects.latest("pk")
    assert (job.supplier, job.missing) == (supplier, 1)
    assert "a full list of Schulz &amp; Söhne" in text(page.get(f"/imports/{job.pk}/"))


@pytest.mark.parametrize("path", ["/imports/", "/api/v1/imports/"])
def test_a_supplier_that_does_not_fit_is_refused(page: Client, a_format: Format, path: str) -> None:
    other = suppliers.create_supplier(name="Schulz", user=None)
    for posted in ({"supplier": "Nobody"}, {"supplier": other.pk, "format": a_format.pk}):
        file = SimpleUploadedFile("list.csv", (HEADER + records(1)).encode())
        answer = page.post(path, {"file": file, "full_list": "true", **posted})
        assert answer.status_code == 400
        expected = "no supplier “Nobody”" if posted["supplier"] == "Nobody" else "not Schulz’s"
        assert expected in answer.content.decode()
    assert not ImportJob.objects.exists()


def test_without_a_choice_the_columns_tell_whose_list_it_is(
    page: Client, run: Callable[..., ImportJob], messages: Messages
) -> None:
    columns = ["sku", "name", "price"]
    known = make_format("Huber", full_list=False, columns=columns)
    run(HEADER + records(4), format=known)
    file = SimpleUploadedFile("list.csv", (HEADER + records(3)).encode())
    posted = {"file": file, "supplier": "", "full_list": "true", "checks": "warn"}
    assert page.post("/api/v1/imports/", posted).status_code == 202
    messages.run_all()
    job = ImportJob.objects.latest("pk")
    assert (job.supplier, job.missing) == (known.supplier, 1)


# --- Who brought it in ----------------------------------------------------------------


def test_a_product_says_who_brought_it_in(
    page: Client, run: Callable[..., ImportJob], a_format: Format
) -> None:
    run(HEADER + records(1), format=a_format)
    product = Product.objects.get()
    supplier = a_format.supplier_id
    link = f'brought in by <a href="/suppliers/{supplier}/">Mueller</a>'
    assert link in text(page.get(f"/products/{product.pk}/"))
    suppliers.delete_supplier(supplier_id=supplier or 0)
    shown = text(page.get(f"/products/{product.pk}/"))
    assert "brought in by a supplier that was deleted" in shown


def test_a_supplier_leads_to_its_products(
    page: Client,
    run: Callable[..., ImportJob],
    make_product: Callable[..., Product],
    a_format: Format,
) -> None:
    make_product("HAND")
    run(HEADER + records(2), format=a_format)
    supplier = a_format.supplier_id
    link = f'<a href="/products/?supplier={supplier}">2 products</a>'
    assert link in text(page.get(f"/suppliers/{supplier}/"))
    shown = text(page.get(f"/products/?supplier={supplier}"))
    assert "P-001" in shown
    assert "HAND" not in shown
    assert "Mueller" in shown  # in the chip, not its number
    found = page.get(f"/api/v1/products/?supplier={supplier}").json()
    assert found["count"] == 2
    assert page.get("/api/v1/products/?supplier=x").status_code == 400
