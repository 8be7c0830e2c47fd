"""Refused records are mended in the page, checked as they are typed, and imported from there."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from catalog.models import Field, Product
from catalog.operations import fields
from conftest import Messages
from imports.mapping.rules import parse_rules
from imports.mapping.values import Plan
from imports.models import ImportJob, RowError
from imports.operations import jobs, mapping, mending
from imports.queries.mending import check, mended_of
from imports.readers.csv import Layout

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,colour,price\n"


@pytest.fixture
def refused(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    def run(content: str, **values: Any) -> ImportJob:
        job = upload(HEADER + content, **values)
        messages.run_all()
        job.refresh_from_db()
        assert job.status == "completed", job.error
        return job

    return run


def error(job: ImportJob, line: int) -> RowError:
    return job.errors.get(line=line)


def mend(job: ImportJob, line: int, column: int, value: str) -> RowError:
    mending.save_cells(job_id=job.pk, cells={(error(job, line).pk, column): value})
    return error(job, line)


def text_of(page: Client, path: str) -> str:
    return re.sub(r"\s+", " ", page.get(path).content.decode())


def test_every_bad_cell_is_marked_with_what_is_wrong(
    page: Client, refused: Callable[..., ImportJob]
) -> None:
    job = refused(",,red,free\n")
    wrong, _ = check(job, error(job, 2))
    assert sorted(wrong) == [0, 1, 3]
    text = text_of(page, f"/imports/{job.pk}/rejected/")
    assert text.count('aria-invalid="true"') == 3
    assert "is not a price" in text
    assert "The SKU is missing" in text  # the group, in words
    assert "invalid_price" not in text


def test_a_cell_is_kept_as_typed_and_checked_by_the_rules_of_the_import(
    page: Client, refused: Callable[..., ImportJob]
) -> None:
    job = refused("A,Lamp,red,free\n")
    record = error(job, 2).pk
    path = f"/imports/{job.pk}/mend/"

    def type_in(value: str, was: str) -> dict[str, Any]:
        fields = {f"cell-{record}-3": value, f"was-{record}-3": was}
        answer = page.post(path, fields, headers={"accept": "application/json"})
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    news = type_in("1.2.3", "free")
    assert news["ready"] == 0
    assert "is not a price" in next(
        c["problem"] for c in news["rows"][0]["cells"] if c["column"] == 3
    )
    news = type_in("12.30", "1.2.3")
    assert (news["ready"], news["rows"][0]["state"]) == (1, "mended")
    assert not Product.objects.exists()


@pytest.mark.parametrize(
    ("price_of_file", "typed", "stored"),
    [("1.00", "49,90", "49.90"), ("1.00", "1.299,00", "1299.00"), ("1,50", "49.90", "49.90")],
)
def test_a_typed_price_is_taken_as_in_forms_however_its_file_writes_prices(
    upload: Callable[..., ImportJob],
    messages: Messages,
    price_of_file: str,
    typed: str,
    stored: str,
) -> None:
    job = upload(f"sku;name;price\nA;Lamp;{price_of_file}\nB;Chair;free\n", checks="warn")
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.rejected) == ("completed", 1), job.error
    mended = mend(job, 3, 2, typed)
    assert (mended.is_mended, mended.mended) == (True, ["B", "Chair", typed])
    new = mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    new.refresh_from_db()
    assert (new.status, new.created) == ("completed", 1), new.error
    assert Product.objects.get(sku="B").price == Decimal(stored)


def test_a_typed_price_that_can_be_read_in_two_ways_is_refused(
    refused: Callable[..., ImportJob],
) -> None:
    job = refused("A,Lamp,red,free\n")
    assert not mend(job, 2, 3, "1,234").is_mended


def test_what_the_file_itself_says_is_read_by_its_rules_whatever_else_is_mended(
    refused: Callable[..., ImportJob],
) -> None:
    columns: list[dict[str, Any]] = [{"column": name, "field": name} for name in ("sku", "name")]
    columns.append({"column": "price", "field": "price", "decimal": "."})
    job = refused('A,,red,"49,90"\n', rules=parse_rules({"columns": columns}))
    assert not mend(job, 2, 1, "Lamp").is_mended
    assert mend(job, 2, 3, "49,9").is_mended


def test_a_typed_price_is_in_the_unit_of_its_file(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    columns = [{"column": name, "field": name} for name in ("sku", "name")]
    columns.append({"column": "cents", "field": "price", "factor": "0.01", "round": "0.01"})
    job = upload("sku,name,cents\nA,Lamp,free\n", rules=parse_rules({"columns": columns}))
    messages.run_all()
    mend(job, 2, 2, "4990,00")
    mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    assert Product.objects.get().price == Decimal("49.90")


def test_what_the_columns_are_read_as_is_told_by_the_origin_alone(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("Artikelnummer;Bezeichnung;Preis\nA;Lampe;1,50\nB;;2,50\n", checks="warn")
    messages.run_all()
    job.refresh_from_db()
    assert any(warning.startswith("Read: ") for warning in job.warnings)
    mend(job, 3, 1, "Stuhl")
    new = mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    new.refresh_from_db()
    assert (new.status, new.created, new.warnings) == ("completed", 1, [])


def test_two_people_do_not_overwrite_each_other(
    page: Client, refused: Callable[..., ImportJob]
) -> None:
    job = refused("A,Lamp,red,free\n")
    record = error(job, 2).pk
    mend(job, 2, 3, "10.00")
    fields = {f"cell-{record}-3": "99.00", f"was-{record}-3": "free"}
    answer = page.post(f"/imports/{job.pk}/mend/", fields, headers={"accept": "application/json"})
    assert answer.status_code == 409
    assert "“10.00”" in answer.json()["detail"]
    assert error(job, 2).mended == ["A", "Lamp", "red", "10.00"]


def test_the_mended_ones_are_imported_and_the_origin_tells_how_many_are_in(
    page: Client, refused: Callable[..., ImportJob], messages: Messages
) -> None:
    job = refused("A,Lamp,red,free\nB,Chair,,cheap\nC,Oak,,1\n", file_name="spring.csv")
    mend(job, 2, 3, "1.00")
    answer = page.post(f"/imports/{job.pk}/mend/import/")
    new = ImportJob.objects.latest("pk")
    assert answer["Location"] == f"/imports/{new.pk}/"
    assert (new.mends, new.file_name) == (job, "mended spring.csv")
    messages.run_all()
    assert sorted(Product.objects.values_list("sku", flat=True)) == ["A", "C"]
    assert "1 of 2 refused records is in by now" in text_of(page, f"/imports/{job.pk}/")
    assert "spring.csv" in text_of(page, f"/imports/{new.pk}/")
    assert page.post(f"/imports/{job.pk}/mend/import/").status_code == 409  # not twice
    jobs.undo_import(job_id=new.pk, user=None)
    messages.run_all()
    assert mended_of(job).arrived == 0


def test_mended_ones_that_are_refused_again_are_mended_again(
    refused: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = refused("A,Lamp,red,free\n")
    mend(job, 2, 3, "1.00")
    RowError.objects.filter(job=job).update(mended=["A", "Lamp", "red", "x"])  # other rules since
    new = mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    new.refresh_from_db()
    assert new.rejected == 1
    mend(new, 2, 3, "2.00")
    mending.import_mended(job_id=new.pk, user=None)
    messages.run_all()
    assert mended_of(job).arrived == mended_of(new).arrived == 1
    assert Product.objects.get().price == 2


def test_those_of_an_import_that_came_to_nothing_are_imported_again(
    refused: Callable[..., ImportJob], messages: Messages
) -> None:
    job = refused("A,Lamp,red,free\n")
    mend(job, 2, 3, "1.00")
    jobs.cancel_import(job_id=mending.import_mended(job_id=job.pk, user=None).pk, user=None)
    mending.import_mended(job_id=ImportJob.objects.get(pk=job.pk).pk, user=None)
    messages.run_all()
    assert Product.objects.count() == 1


def test_the_origin_leads_to_mended_records_that_wait_for_somebody(
    page: Client,
    refused: Callable[..., ImportJob],
    messages: Messages,
    make_product: Callable[..., Product],
) -> None:
    make_product("A", "Lamp", price=Decimal("10.00"))
    job = refused("A,Lamp,red,free\nB,Vase,red,free\n")
    mend(job, 2, 3, "1000.00")
    new = mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    new.refresh_from_db()
    assert new.status == "awaiting_review"
    told = "1 is on the way, waiting for somebody: "
    for path in (f"/imports/{job.pk}/", f"/imports/{job.pk}/rejected/?open=1"):
        text = text_of(page, path)
        assert f'{told}<a href="/imports/{new.pk}/"><bdi>mended products.csv</bdi></a>' in text
    assert "1 still to mend" in text


def test_all_like_one_are_replaced(page: Client, refused: Callable[..., ImportJob]) -> None:
    job = refused("".join(f"A-{n},Lamp,,{'free' if n % 2 else 'cheap'}\n" for n in range(120)))
    record = error(job, 3)
    assert "Replace all <span>59</span> like this" in text_of(page, f"/imports/{job.pk}/rejected/")
    mend(job, 3, 3, "0.00")
    page.post(f"/imports/{job.pk}/mend/", {"replace": f"{record.pk}-3"})
    assert mended_of(job).ready == 60
    assert not job.errors.filter(record__3="cheap", is_mended=True).exists()


def test_a_record_of_the_wrong_width_is_mended(
    page: Client, refused: Callable[..., ImportJob], messages: Messages
) -> None:
    job = refused("A,Lamp,red,1,extra\nB,Chair\n")
    wrong, _ = check(job, error(job, 2))
    assert list(wrong) == [4]
    wrong, whole = check(job, error(job, 3))
    assert "has 2 fields" in whole
    mend(job, 2, 4, "")
    mend(job, 3, 3, "2.00")
    mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    assert sorted(Product.objects.values_list("sku", "price")) == [
        ("A", Decimal(1)),
        ("B", Decimal(2)),
    ]


def test_one_who_may_only_look_mends_nothing(
    client: Client,
    static_files: None,
    refused: Callable[..., ImportJob],
    make_user: Callable[..., User],
) -> None:
    job = refused("A,Lamp,red,free\n")
    client.force_login(make_user("vera", "viewer"))
    assert "<textarea" not in text_of(client, f"/imports/{job.pk}/rejected/")
    for path in ("mend/", "mend/import/"):
        assert client.post(f"/imports/{job.pk}/{path}").status_code == 403


def test_a_page_of_five_thousand_refused_records_is_small(
    page: Client, refused: Callable[..., ImportJob], django_assert_max_num_queries: Any
) -> None:
    job = refused("".join(f"A-{n},Lamp,,free {n % 7}\n" for n in range(5000)))
    with django_assert_max_num_queries(30):
        answer = page.get(f"/imports/{job.pk}/rejected/?page=50")
    assert len(answer.content) < 300_000
    assert "A-2499" in answer.content.decode()


def test_what_is_wrong_stands_first_and_how_many_are_left_is_told(
    page: Client, refused: Callable[..., ImportJob]
) -> None:
    job = refused("A,Lamp,red,free\nB,Vase,red,free\nC,Rug,red,free\n")
    text = text_of(page, f"/imports/{job.pk}/rejected/")
    assert text.index("What is wrong</th>") < text.index(">sku</th>")
    assert 'type="submit" disabled>Import the mended records' in text
    mend(job, 2, 3, "1.00")
    text = text_of(page, f"/imports/{job.pk}/rejected/")
    assert "All <b>3</b>" in text
    assert "Still to mend <b>2</b>" in text
    assert 'type="submit">Import the mended records' in text


def test_mended_records_are_read_by_what_somebody_matched(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("Nr;Was;Wert\nA1;Lampe;3\nA2;;4\n", on_unclear="wait")
    messages.run_all()
    columns = [{"column": "Nr", "field": "sku"}, {"column": "Was", "field": "name"}]
    mapping.save_mapping(job_id=job.pk, user=None, rules=parse_rules({"columns": columns}))
    messages.run_all()
    job.refresh_from_db()
    mend(job, 3, 1, "Stuhl")
    new = mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    new.refresh_from_db()
    assert (new.status, new.created) == ("completed", 1), new.error
    assert Product.objects.get(sku="A2").name == "Stuhl"


FILLED = {
    "columns": [
        *({"column": name, "field": name} for name in ("sku", "name", "price")),
        {"column": "kind", "field": "description", "fill_down": True},
    ]
}
KINDS = (
    "sku,name,kind,price\nA1,Lamp,Lights,10\nA2,Bulb,,bad\nA3,Desk,Tables,bad\n"
    "A4,Chair,Chairs,4\nA5,Stool,,bad\n"
)


def kinds() -> dict[str, str]:
    return dict(Product.objects.values_list("sku", "description"))


def test_a_mended_record_keeps_what_stood_above_it_in_its_file(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(KINDS, rules=parse_rules(FILLED))
    messages.run_all()
    job.refresh_from_db()
    assert error(job, 6).record == ["A5", "Stool", "Chairs", "bad"]
    for line in (3, 4, 6):
        mend(job, line, 3, "5")
    new = mending.import_mended(job_id=job.pk, user=None)
    messages.run_all()
    new.refresh_from_db()
    assert (new.status, new.created) == ("completed", 3), new.error
    assert kinds() == {
        "A1": "Lights",
        "A2": "Lights",
        "A3": "Tables",
        "A4": "Chairs",
        "A5": "Chairs",
    }


def test_a_blank_whose_value_above_is_not_known_has_to_be_filled_in(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(KINDS.replace("A4,Chair,Chairs,4", "A4,Chair"), rules=parse_rules(FILLED))
    messages.run_all()
    job.refresh_from_db()
    assert mend(job, 6, 3, "5").is_mended is False
    assert mend(job, 6, 2, "Chairs").is_mended is True
    mend(job, 5, 3, "4")
    assert check(job, error(job, 5))[0].keys() == {2}


def test_a_file_of_refused_records_is_not_filled_from_the_ones_before(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    text = "sku,name,kind,price,_line,_error\nA3,Desk,Tables,5,4,x\nA5,Stool,,5,6,x\n"
    job = upload(text, rules=parse_rules(FILLED))
    messages.run_all()
    job.refresh_from_db()
    assert kinds() == {"A3": "Tables"}
    assert job.errors.get().code == "unknown_above"


def test_thousands_of_words_are_made_ready_once_for_all_records(
    refused: Callable[..., ImportJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = refused("".join(f"A{n},Lamp,red,free\n" for n in range(20)))
    made: list[Layout] = []
    real = Layout.plan

    def counted(layout: Layout) -> Plan:
        made.append(layout)
        return real(layout)

    monkeypatch.setattr(Layout, "plan", counted)
    mend(job, 2, 3, "5")
    assert mending.replace_alike(job_id=job.pk, error_id=error(job, 2).pk, column=3) == 19
    assert len(made) == 2


def test_a_record_of_very_many_fields_does_not_make_the_page_as_wide(
    page: Client, refused: Callable[..., ImportJob]
) -> None:
    job = refused("A,Lamp,red,5" + ",x" * 20_000 + "\nB,Desk,red,free\n")
    text = text_of(page, f"/imports/{job.pk}/rejected/")
    assert text.count("<td>") < 200
    assert "19,960 more fields than are shown here" in text
    assert mend(job, 2, 4, "").is_mended is False


def test_a_page_of_many_columns_is_no_larger_than_a_form_may_be(
    page: Client, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    columns = [f"F{number}" for number in range(20)]
    try:
        for label in columns:
            fields.create_field(data={"label": label, "type": "integer"})
        rows = "".join(f"A{n},Lamp{',x' * 20}\n" for n in range(60))
        job = upload(f"sku,name,{','.join(columns)}\n{rows}")
        messages.run_all()
        job.refresh_from_db()
        text = page.get(f"/imports/{job.pk}/rejected/").content.decode()
    finally:
        Field.objects.all().delete()
    names = re.findall(r'name="((?:cell|was)-[0-9-]+)"', text)
    assert 0 < len(names) < 1_000
    answer = page.post(f"/imports/{job.pk}/mend/", dict.fromkeys(names, "7"))
    assert answer.status_code == 302
