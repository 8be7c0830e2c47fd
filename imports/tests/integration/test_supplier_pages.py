"""The pages of suppliers and formats."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from catalog.models import Field
from catalog.operations import fields
from imports.mapping.exchange import format_as_file, format_from_file
from imports.mapping.rules import RulesError, parse_rules, rules_as_json
from imports.models import Format, ImportJob, Supplier
from imports.operations import suppliers

pytestmark = pytest.mark.django_db

RULES: dict[str, Any] = {
    "encoding": "cp1252",
    "delimiter": ";",
    "header_line": 3,
    "blank": {"description": "keep"},
    "only_if": [{"column": "Typ", "is_not": [""]}],
    "columns": [
        {"field": "sku", "columns": ["Nr", 2], "separator": "-"},
        {"field": "price", "column": "Preis", "decimal": ",", "currency": "EUR", "factor": "1.19"},
        {"field": "active", "column": "da", "values": {"ja": True, "<b>": False}},
    ],
}


@pytest.fixture
def supplier() -> Supplier:
    return Supplier.objects.create(name="Müller GmbH")


@pytest.fixture
def make_format(supplier: Supplier, user: User) -> Callable[..., Format]:
    def make(name: str = "price list", **values: Any) -> Format:
        values = {"rules": RULES, "columns": ["Nr", "x", "Preis", "da", "Typ"], **values}
        return suppliers.create_format(supplier_id=supplier.pk, name=name, user=user, **values)

    return make


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_the_empty_list_says_what_it_is_for(page: Client) -> None:
    shown = text(page.get("/suppliers/"))
    assert "Remember this for" in shown
    assert 'href="/suppliers/"' in shown  # in the navigation, too


def test_a_supplier_is_added_renamed_and_deleted(page: Client) -> None:
    answer = page.post("/suppliers/", {"name": "  Acme "})
    acme = Supplier.objects.get()
    assert (acme.name, answer["Location"]) == ("Acme", f"/suppliers/{acme.pk}/")
    assert page.post("/suppliers/", {"name": "acme"}).status_code == 400
    assert page.post("/suppliers/", {"name": " "}).status_code == 400
    assert page.post(f"/suppliers/{acme.pk}/", {"name": "Acme Ltd"}).status_code == 302
    assert "Acme Ltd" in text(page.get("/suppliers/"))
    assert "cannot be undone" in text(page.get(f"/suppliers/{acme.pk}/delete/"))
    assert page.post(f"/suppliers/{acme.pk}/delete/")["Location"] == "/suppliers/"
    assert not Supplier.objects.exists()


def test_a_supplier_shows_its_formats_and_imports(
    page: Client,
    supplier: Supplier,
    make_format: Callable[..., Format],
) -> None:
    kept = make_format()
    ImportJob.objects.create(
        file_name="week 1.csv", file_size=1, supplier=supplier, format=kept, format_version=1
    )
    shown = text(page.get(f"/suppliers/{supplier.pk}/"))
    for part in (
        "price list",
        "week 1.csv",
        f"/suppliers/formats/{kept.pk}/",
        "price list, version 1",
    ):
        assert part in shown
    asked = text(page.get(f"/suppliers/{supplier.pk}/delete/"))
    assert "1 has not ended" in asked


def test_a_format_shows_its_rules_in_words_and_whose_its_versions_are(
    page: Client, user: User, make_format: Callable[..., Format]
) -> None:
    kept = make_format()
    suppliers.change_format(format_id=kept.pk, user=None, columns=["Nr", "x"])
    shown = text(page.get(f"/suppliers/formats/{kept.pk}/"))
    for part in ("decimal comma", "in EUR", "× 1.19", "ja = active", "blank", "is none of"):
        assert part in shown, part
    assert "<b> =" not in shown
    assert str(user) in shown
    assert "version 1 of 2" in text(page.get(f"/suppliers/formats/{kept.pk}/?version=1"))
    assert page.get(f"/suppliers/formats/{kept.pk}/?version=99").status_code == 200


def test_a_format_shows_the_rules_of_own_fields_in_words(
    page: Client, make_format: Callable[..., Format]
) -> None:
    kinds = {"Eco": "boolean", "Stock": "integer", "Colour": "choice", "Old": "text"}
    for label, kind in kinds.items():
        options = {"choices": ["red"]} if kind == "choice" else {}
        fields.create_field(data={"label": label, "type": kind, "options": options})
    rules = {
        "blank": {"fields.stock": "keep", "fields.eco": {"value": "no"}},
        "columns": [
            {"field": "sku", "column": "Nr"},
            {"field": "fields.eco", "column": "Bio", "values": {"ja": True, "o": False, "?": ""}},
            {"field": "fields.stock", "column": "Menge", "decimal": ",", "group": "."},
            {"field": "fields.colour", "column": "Farbe", "otherwise": "add"},
            {"field": "fields.old", "column": "Alt", "values": {"x": "y"}, "otherwise": "refuse"},
        ],
    }
    kept = make_format(rules=rules, columns=["Nr", "Bio", "Menge", "Farbe", "Alt"])
    fields.update_field(field_id=Field.objects.get(key="old").pk, data={"retired": True})
    shown = text(page.get(f"/suppliers/formats/{kept.pk}/"))
    for part in (
        "? = as if blank, o = no, ja = yes",
        "a blank is “no”",
        "“.” between thousands",
        "a blank keeps what is stored",
        "other words are added to the list",
        "other words are refused",
        "Old (not in use)",
    ):
        assert part in shown, part


def test_a_format_is_renamed_and_deleted(page: Client, make_format: Callable[..., Format]) -> None:
    kept = make_format()
    make_format("other")
    path = f"/suppliers/formats/{kept.pk}/"
    assert page.post(path, {"name": "OTHER"}).status_code == 400
    assert page.post(path, {"name": "weekly"}).status_code == 302
    kept.refresh_from_db()
    assert (kept.name, kept.version) == ("weekly", 1)
    assert "cannot be undone" in text(page.get(f"{path}delete/"))
    answer = page.post(f"{path}delete/")
    assert answer["Location"] == f"/suppliers/{kept.supplier_id}/"
    assert not Format.objects.filter(pk=kept.pk).exists()


def test_a_format_goes_out_as_json_and_comes_back_the_same(
    page: Client, supplier: Supplier, make_format: Callable[..., Format]
) -> None:
    kept = make_format()
    answer = page.get(f"/suppliers/formats/{kept.pk}/format.json")
    data = json.loads(answer.content)
    assert data["dialect"] == {"delimiter": ";", "header": True, "headerRows": [3]}
    assert "muller-gmbh-price-list.json" in answer["Content-Disposition"]
    file = SimpleUploadedFile("f.json", answer.content)
    path = f"/suppliers/{supplier.pk}/upload/"
    answer = page.post(path, {"file": file, "name": "copy"})
    copy = Format.objects.get(name="copy")
    assert answer["Location"] == f"/suppliers/formats/{copy.pk}/"
    assert (copy.rules, copy.columns) == (kept.rules, kept.columns)
    again = SimpleUploadedFile("f.json", json.dumps(data).encode())
    page.post(path, {"file": again})
    kept.refresh_from_db()
    assert kept.version == 1  # nothing in it is new


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[1]", b"[" * 100_000, b'{"name": 1}', b'{"name": "x", "rules": {"evil": 1}}'],
)
def test_a_file_that_is_no_format_is_refused_with_a_sentence(
    page: Client, supplier: Supplier, content: bytes
) -> None:
    file = SimpleUploadedFile("f.json", content)
    answer = page.post(f"/suppliers/{supplier.pk}/upload/", {"file": file})
    assert answer.status_code == 400
    assert 'role="alert"' in text(answer)
    assert page.post(f"/suppliers/{supplier.pk}/upload/").status_code == 400


@pytest.mark.usefixtures("static_files")
def test_a_viewer_sees_suppliers_and_changes_none(
    make_user: Callable[..., User], supplier: Supplier, make_format: Callable[..., Format]
) -> None:
    kept = make_format()
    viewer = Client()
    viewer.force_login(make_user("vera", "viewer"))
    for path in ("/suppliers/", f"/suppliers/{supplier.pk}/", f"/suppliers/formats/{kept.pk}/"):
        answer = viewer.get(path)
        assert answer.status_code == 200
        assert "Rename" not in text(answer)
        assert viewer.post(path, {"name": "x"}).status_code == 403


def test_a_ready_made_format_is_listed_and_stays(page: Client) -> None:
    made = Format.objects.create(name="Shop", ready_made=True, rules=rules_as_json(parse_rules({})))
    assert "Shop" in text(page.get("/suppliers/"))
    assert page.get(f"/suppliers/formats/{made.pk}/").status_code == 200
    assert page.post(f"/suppliers/formats/{made.pk}/", {"name": "Mine"}).status_code == 400
    assert page.post(f"/suppliers/formats/{made.pk}/delete/").status_code == 409
    assert Format.objects.filter(pk=made.pk).exists()


@pytest.mark.parametrize(
    "rules",
    [
        {},
        RULES,
        {"header_line": 0, "quote": "'", "columns": [{"field": "sku", "column": 1}]},
        {"quote": "", "sheet": 2, "member": "a/b.csv"},
        {"sheet": "Tabelle 1", "delimiter": "\t"},
        {"key": "fields.gtin", "no_match": "create"},
    ],
)
def test_every_rule_survives_the_file(rules: dict[str, Any]) -> None:
    parsed = parse_rules(rules)
    data = json.loads(json.dumps(format_as_file("x", parsed, ["a"], version=1)))
    given = format_from_file(data)
    assert (given.name, given.columns, parse_rules(given.rules)) == ("x", ["a"], parsed)


def test_what_is_wrong_with_a_file_is_told() -> None:
    with pytest.raises(RulesError) as told:
        format_from_file({"name": "x", "dialect": {"delimiter": "ab"}, "rules": {"columns": [{}]}})
    assert len(told.value.problems) == 2
