"""The public contract of the imports' API, over HTTP against the running site."""

import csv
import io
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests

from catalog.models import Product
from conftest import Browserless, finished, wait_for
from imports.models import ImportJob

CSV = """sku,name,description,price,active
A-1,Lamp,text,12.50,true
a-1,Lamp 2,,13.50,no
B-1,x,y,1e5,true
"""
JOB_FIELDS = {
    "id",
    "feed",
    "status",
    "stage",
    "file_name",
    "file_size",
    "supplier",
    "format",
    "format_version",
    "mode",
    "review",
    "checks",
    "mends",
    "full_list",
    "total_records",
    "processed_records",
    "created",
    "updated",
    "unchanged",
    "superseded",
    "skipped",
    "rejected",
    "missing",
    "warnings",
    "error",
    "created_at",
    "started_at",
    "finished_at",
    "change_set",
}


def events(api: Browserless, job_id: int) -> list[tuple[float, dict[str, Any]]]:
    """All progress events of a job, with the seconds at which they came."""
    found = []
    started = time.monotonic()
    with api.get(f"/api/v1/imports/{job_id}/events/", stream=True) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        name = b""
        for line in answer.iter_lines():
            if line.startswith(b"event:"):
                name = line
            if line.startswith(b"data:"):
                assert name == b"event: progress"
                found.append((time.monotonic() - started, json.loads(line[5:])))
    return found


def test_an_upload_is_accepted_and_followed_to_its_end(api: Browserless) -> None:
    answer = api.post("/api/v1/imports/", files={"file": ("Größe.csv", CSV)})
    assert answer.status_code == 202
    job = answer.json()
    assert job.keys() == JOB_FIELDS
    assert (job["status"], job["file_name"], job["mode"]) == ("pending", "Größe.csv", "upsert")
    last = events(api, job["id"])[-1][1]
    assert last.keys() == JOB_FIELDS
    assert (last["status"], last["created"], last["superseded"], last["rejected"]) == (
        "completed",
        1,
        1,
        1,
    )
    assert api.get(f"/api/v1/imports/{job['id']}/").json() == last
    assert api.get("/api/v1/imports/").json()["results"] == [last]


def test_the_state_comes_at_once_and_not_with_the_end(
    api: Browserless, upload: Callable[..., ImportJob]
) -> None:
    job = upload(CSV, review=True)  # ends when somebody says so
    with api.get(f"/api/v1/imports/{job.pk}/events/", stream=True) as answer:
        lines = answer.iter_lines(chunk_size=1)
        told = (json.loads(line[5:]) for line in lines if line.startswith(b"data:"))
        assert next(told)["finished_at"] is None
        assert api.post(f"/api/v1/imports/{job.pk}/cancel/").ok
        assert [*told][-1]["status"] == "cancelled"


def test_progress_comes_at_most_four_times_a_second(
    api: Browserless, upload: Callable[..., ImportJob]
) -> None:
    rows = "".join(f"S-{n},Name {n},some text here,1.00,true\n" for n in range(100_000))
    job = upload(CSV.splitlines()[0] + "\n" + rows)
    seen = events(api, job.pk)
    seconds = max(seen[-1][0], 0.25)
    assert len(seen) <= 4 * seconds + 2
    counts = [event["processed_records"] for _, event in seen]
    assert counts == sorted(counts)
    assert seen[-1][1]["processed_records"] == 100_000


def test_the_stream_of_a_finished_job_tells_its_end_and_ends(
    api: Browserless, run_import: Callable[..., ImportJob]
) -> None:
    job = run_import(CSV)
    seen = events(api, job.pk)
    assert len(seen) == 1
    assert seen[0][1]["status"] == "completed"


def test_errors_are_paged(api: Browserless, run_import: Callable[..., ImportJob]) -> None:
    job = run_import("sku,name,price\n" + "".join(f"S-{n},Name,NaN\n" for n in range(25)))
    page = api.get(f"/api/v1/imports/{job.pk}/errors/?page_size=10").json()
    assert page["count"] == 25
    assert page["results"][0] == {
        "line": 2,
        "column": "price",
        "code": "invalid_price",
        "message": page["results"][0]["message"],
        "record": ["S-0", "Name", "NaN"],
    }
    lines = [error["line"] for error in page["results"]]
    while page["next"]:
        page = api.session.get(page["next"], timeout=300).json()
        lines += [error["line"] for error in page["results"]]
    assert lines == list(range(2, 27))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-sig", "utf-32", "utf-32-be-sig", "cp1252"],
)
def test_rejects_come_back_mended_and_import(
    api: Browserless,
    run_import: Callable[..., ImportJob],
    delimiter: str,
    encoding: str,
) -> None:
    header = ["sku", "Colour", "name", "price"]
    rows = [
        ["A-1", "röd", "Good", "1.00"],
        ["A-2", "röd", 'Bad "price", café', "free"],
        ["A-3", "röd", "Two\nlines", "1e5"],
        ["A-4"],
        ["A-5", "röd", "Many", "1.00", "more"],
    ]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    codec = encoding.removesuffix("-sig") if encoding != "utf-8-sig" else encoding
    mark = "" if codec == encoding else "\ufeff"
    job = run_import((mark + buffer.getvalue()).encode(codec))
    assert (job.created, job.rejected) == (1, 4)

    answer = api.get(f"/api/v1/imports/{job.pk}/rejects.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    text = answer.content.decode("utf-8-sig")
    rejects = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert rejects[0] == [*header, "_line", "_error"]
    assert [row[4] for row in rejects[1:]] == ["3", "4", "6", "7"]
    assert rejects[1][:4] == rows[1]
    assert rejects[2][:4] == rows[2]

    again = run_import(text)  # not mended: refused for the same reasons, nothing is wiped
    assert (again.created, again.rejected) == (0, 4)

    mended = [rejects[0]]
    for row in rejects[1:]:
        mended.append([row[0], row[1] or "x", row[2] or "Filled in", "9.00", row[4], ""])
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(mended)
    fixed = run_import(buffer.getvalue())
    assert (fixed.created, fixed.rejected) == (4, 0)
    assert Product.objects.get(sku="A-3").name == "Two\nlines"


def test_a_bad_upload_says_what_to_do(api: Browserless) -> None:
    for files, data, word in (
        ({}, {}, "file"),
        ({"file": ("x.csv", CSV)}, {"mode": "sideways"}, "sideways"),
        ({"file": ("x.csv", CSV)}, {"review": "perhaps"}, "boolean"),
        ({}, {"file": "text"}, "file"),
    ):
        answer = api.post("/api/v1/imports/", files=files or None, data=data)
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] == "invalid"
        assert word in answer.json()["detail"]
    assert api.post("/api/v1/imports/", json={}).status_code == 415
    assert not ImportJob.objects.exists()


@pytest.mark.parametrize(
    "path",
    ["imports/999/", "imports/999/events/", "imports/999/errors/", "imports/999/rejects.csv"],
)
def test_what_is_not_there_is_404_with_a_sentence(api: Browserless, path: str) -> None:
    answer = api.get(f"/api/v1/{path}", headers={"Accept": "*/*"})
    assert answer.status_code == 404
    assert answer.json()["code"] in ("not_found", "error")


@pytest.mark.parametrize(
    "path", ["imports/", "products/", "imports/1/", "imports/1/events/", "imports/1/rejects.csv"]
)
def test_nobody_gets_anything_without_a_token(api: Browserless, path: str) -> None:
    answer = requests.get(f"{api.base}/api/v1/{path}", timeout=300)
    assert answer.status_code == 401
    assert "Token" in answer.json()["detail"]


def test_products_are_read_filtered_and_paged(
    api: Browserless, run_import: Callable[..., ImportJob]
) -> None:
    rows = "".join(f"S-{n:03d},Name {n},text {n % 7},{n}.50,{n % 2}\n" for n in range(120))
    run_import("sku,name,description,price,active\n" + rows)
    page = api.get("/api/v1/products/").json()
    assert page["count"] == 120
    assert len(page["results"]) == 50
    assert page["results"][0].keys() == {
        "id", "sku", "name", "description", "price", "active", "fields", "version",
        "created_at", "updated_at",
    }  # fmt: skip
    seen = [product["sku"] for product in page["results"]]
    while page["next"]:
        page = api.session.get(page["next"], timeout=300).json()
        seen += [product["sku"] for product in page["results"]]
    assert seen == [f"S-{n:03d}" for n in range(120)]
    assert api.get("/api/v1/products/?sku=s-01").json()["count"] == 10
    assert api.get("/api/v1/products/?active=true").json()["count"] == 60
    assert api.get("/api/v1/products/?q=TEXT 3").json()["count"] == 17
    assert api.get("/api/v1/products/?q=100%25").json()["count"] == 0
    product = api.get("/api/v1/products/?sku=S-001").json()["results"][0]
    assert api.get(f"/api/v1/products/{product['id']}/").json() == product
    assert product["price"] == "1.50"


def test_the_schema_and_its_page_are_served(api: Browserless) -> None:
    schema = api.get("/api/v1/schema/?format=json").json()
    assert "/api/v1/imports/{id}/events/" in schema["paths"]
    assert "/api/v1/imports/{id}/rejects.csv" in schema["paths"]
    assert "swagger" in api.get("/api/v1/docs/").text


def test_health_needs_no_login_and_tells_the_parts(api: Browserless) -> None:
    assert requests.get(f"{api.base}/healthz", timeout=300).text == "ok"

    def all_report() -> dict[str, Any] | None:
        """One that is late is none the less told of as silent for a moment."""
        told: dict[str, Any] = requests.get(f"{api.base}/readyz", timeout=300).json()
        return told if told["ready"] and told["beat"] == "ok" else None

    ready = wait_for(all_report)
    assert ready == {
        "ready": True,
        "database": "ok",
        "broker": "ok",
        "worker": "ok",
        "beat": "ok",
        "oldest_due_seconds": 0.0,
        "oldest_due_delivery_seconds": 0.0,
        "connections": "ok",
        "open_downloads": 0,
        "pool": ready["pool"],
    }
    assert ready["pool"].keys() == {"most", "in_use", "waiting"}


def test_a_killed_worker_child_loses_nothing(
    api: Browserless, site: Any, upload: Callable[..., ImportJob]
) -> None:
    """kill -9 of both children in the middle of an import; it ends right by itself."""
    import psutil

    rows = "".join(f"S-{n},Name {n},some text here,1.00,true\n" for n in range(60_000))
    job = upload("sku,name,description,price,active\n" + rows)

    def started() -> bool:
        job.refresh_from_db()
        return job.total_records > 0

    wait_for(started)
    for child in psutil.Process(site.processes["worker"].pid).children():
        with suppress(psutil.NoSuchProcess):
            child.kill()
    finished(job)
    assert (job.status, job.created, job.total_records) == ("completed", 60_000, 60_000)
    assert Product.objects.count() == 60_000
