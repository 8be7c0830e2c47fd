"""The page for receivers says what is sent: its examples are compared with real events.

After a change of an event: ``WRITE_DOCS=1 bin/test -k the_examples`` writes them anew.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import ChangeSet
from catalog.operations import bulk, products
from conftest import wait_for
from imports.fetching.source import FetchFailed
from imports.models import Feed, FeedRun, ImportJob, Supplier
from imports.operations import jobs as imports
from imports.operations.feeds.outcomes import fail
from product_importer.environment import BASE_DIR
from webhooks.models import SUBSCRIBABLE, Endpoint, Event
from webhooks.operations.endpoints import send_test

PAGE = BASE_DIR / "docs" / "webhooks.md"
EXAMPLES = re.compile(r"<!-- examples -->\n(.*)<!-- end of examples -->", re.S)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def events(
    run_import: Callable[..., ImportJob], upload: Callable[..., ImportJob]
) -> dict[str, Any]:
    """One real body of each type."""
    endpoint = Endpoint.objects.create(
        url="http://127.0.0.1:1/", events=list(SUBSCRIBABLE), enabled=True
    )
    product = products.create_product(
        actor=None, data={"sku": "LAMP-1", "name": "Desk lamp", "price": "39.90"}
    )
    products.update_product(product_id=product.pk, actor=None, data={"price": "35.00"})
    products.delete_product(product_id=product.pk, actor=None)
    run_import("sku,name\nLAMP-1,Desk lamp\nLAMP-2,Floor lamp\n", file_name="lamps.csv")
    run_import("this is no header", file_name="wrong.csv")
    waiting = upload("sku,name\nLAMP-1,Lamp\n", review=True)
    wait_for(lambda: ImportJob.objects.filter(pk=waiting.pk, status="awaiting_review").exists())
    imports.cancel_import(job_id=waiting.pk, user=None)
    unclear = upload("article,price\nLAMP-3,1.00\n", file_name="other.csv", on_unclear="wait")
    wait_for(lambda: ImportJob.objects.filter(pk=unclear.pk, status="awaiting_mapping").exists())
    first = ImportJob.objects.get(status="completed")
    undo = imports.undo_import(job_id=first.pk, user=None)
    bulk.run_bulk_act(undo.pk)
    wait_for(lambda: ChangeSet.objects.get(pk=undo.pk).is_final)
    run_import("sku,name\nLAMP-1,Desk lamp\nLAMP-2,Floor lamp\n", file_name="again.csv")
    act = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None, filters={"sku": "LAMP"})
    bulk.run_bulk_act(act.pk)
    wait_for(lambda: ChangeSet.objects.get(pk=act.pk).is_final)
    _fail_a_feed()
    send_test(endpoint_id=endpoint.pk)
    bodies = [json.loads(bytes(event.body)) for event in Event.objects.order_by("-id")]
    return {body["type"]: body for body in bodies}


def _fail_a_feed() -> None:
    """As a worker that had the run would."""
    supplier = Supplier.objects.create(name="Müller GmbH")
    feed = Feed.objects.create(
        supplier=supplier, name="list", url="https://a.example.com/", enabled=False
    )
    now = timezone.now()
    run = FeedRun.objects.create(
        feed=feed, due_at=now, tries=1, leased_by=1, next_try_at=now + timedelta(hours=1)
    )
    fail(run, FetchFailed("not_found", "The server has no such file."))


def shape(value: Any) -> Any:
    """What a value is made of: keys in their order, and kinds."""
    if isinstance(value, dict):
        return [(key, shape(one)) for key, one in value.items()]
    if isinstance(value, list):
        return ["list", *(shape(one) for one in value[:1])]
    return type(value).__name__


@pytest.mark.usefixtures("site")
def test_the_examples_are_what_is_sent(events: dict[str, Any]) -> None:
    order = [kind for kind in Event.Type.values if kind in events]
    if os.environ.get("WRITE_DOCS"):
        parts = [
            f"### `{kind}`\n\n```json\n"
            f"{json.dumps(events[kind], ensure_ascii=False, indent=2)}\n```\n\n"
            for kind in order
        ]
        text = "<!-- examples -->\n" + "".join(parts) + "<!-- end of examples -->"
        PAGE.write_text(EXAMPLES.sub(lambda _: text, PAGE.read_text()))
    found = EXAMPLES.search(PAGE.read_text())
    assert found
    shown = [json.loads(one) for one in re.findall(r"```json\n(.*?)```", found[1], re.S)]
    assert [one["type"] for one in shown] == order
    for one in shown:
        assert shape(one) == shape(events[one["type"]])
    assert all(f"`{kind}`" in PAGE.read_text() for kind in Event.Type.values)


def code(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.S)


VECTOR = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"test": 2432232314}'


def test_the_python_for_receivers_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    exec(code("python")[1], names)  # noqa: S102 (our own page)
    monkeypatch.setattr("time.time", lambda: 1614265330)
    assert names["is_genuine"](SECRET, VECTOR, BODY.encode())
    assert not names["is_genuine"](SECRET, VECTOR, BODY.encode() + b" ")
    monkeypatch.setattr("time.time", lambda: 1614265330 + 301)
    assert not names["is_genuine"](SECRET, VECTOR, BODY.encode())


def test_the_javascript_for_receivers_verifies() -> None:
    """With the Node.js that Playwright brings."""
    from playwright._impl._driver import compute_driver_executable

    driver = compute_driver_executable()
    node = driver[0] if isinstance(driver, tuple) else driver
    script = (
        code("javascript")[0]
        + "Date.now = () => 1614265330000;"
        + f"const h = {json.dumps(VECTOR)}, b = Buffer.from({json.dumps(BODY)});"
        + f"console.log(isGenuine({json.dumps(SECRET)}, h, b),"
        + f" isGenuine({json.dumps(SECRET)}, h, Buffer.from('x')));"
    )
    done = subprocess.run([str(node), "-e", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["true", "false"]
