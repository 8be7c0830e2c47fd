"""A person with the webhooks, in a real Chromium, and a real receiver."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from standardwebhooks import Webhook

from catalog.operations.products import create_product
from conftest import wait_for
from webhooks.models import Endpoint
from webhooks.tests.receiver import Receiver, serve

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver, server = serve()
    yield receiver
    server.shutdown()
    server.server_close()


def add_endpoint(page: Page, url: str) -> str:
    """Fill in the form; returns the secret that is shown."""
    page.goto("/webhooks/")
    page.get_by_role("link", name=re.compile("endpoint")).click()
    page.get_by_label("URL").fill(url)
    page.get_by_role("button", name="Add endpoint").click()
    secret = page.locator("#wh-secret").text_content()
    assert secret
    return secret


def test_an_endpoint_is_added_and_tested_with_status_and_latency_shown(
    open_page: Callable[..., Page], receiver: Receiver
) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    secret = add_endpoint(page, receiver.url)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.goto("/webhooks/")
    assert secret not in page.content()
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("status").get_by_role("link")).to_have_text(
        re.compile(r"^200 in [\d.,]+ (ms|s)$")
    )
    (got,) = receiver.received
    Webhook(secret).verify(got.body, got.headers)
    receiver.answer = (503, {}, b"closed")
    page.get_by_role("button", name="Test").click()
    result = page.get_by_role("status").get_by_role("link")
    expect(result).to_have_text(re.compile(r"^503 in"))
    result.click()
    expect(page.get_by_role("heading", name=re.compile("webhook.test"))).to_be_visible()
    expect(page.locator(".wh-timeline")).to_contain_text("closed")


def test_deliveries_follow_on_the_page_but_for_what_is_ticked(
    open_page: Callable[..., Page], receiver: Receiver
) -> None:
    page = open_page()
    add_endpoint(page, receiver.url)
    endpoint = Endpoint.objects.get()
    receiver.answer = (503, {}, b"closed")
    page.goto(f"/webhooks/{endpoint.pk}/")
    create_product(actor=None, data={"sku": "A-1", "name": "Lamp"})
    page.reload()
    rows = page.locator("#delivery-list tbody tr")
    expect(rows).to_contain_text("Retrying")
    tick = rows.get_by_role("checkbox")
    tick.check()
    page.get_by_role("heading", name="Deliveries").click()  # nothing of the list has the focus
    receiver.answer = (200, {}, b"ok")
    wait_for(endpoint.deliveries.filter(state="succeeded").exists)
    for _ in range(2):  # the first is dealt with when the second comes
        with page.expect_response(re.compile(f"/webhooks/{endpoint.pk}/$")):
            pass
    expect(tick).to_be_checked()
    tick.uncheck()
    page.get_by_role("heading", name="Deliveries").click()
    expect(rows).to_contain_text("Succeeded")


def test_an_error_is_told_in_words(open_page: Callable[..., Page]) -> None:
    page = open_page()
    add_endpoint(page, "http://127.0.0.1:1/hook")
    page.goto("/webhooks/")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("status").get_by_role("link")).to_have_text(
        re.compile("nothing accepts connections")
    )


def test_a_form_is_enough_without_scripts(
    open_page: Callable[..., Page], receiver: Receiver
) -> None:
    page = open_page(java_script_enabled=False)
    add_endpoint(page, receiver.url)
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("button", name="Test").click()
    expect(page.locator(".wh-timeline")).to_contain_text("200 in")
    page.get_by_role("link", name=re.compile("127.0.0.1")).click()
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("Nothing is sent to this endpoint")).to_be_visible()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete the endpoint").click()
    expect(page.get_by_text("Deleted")).to_be_visible()
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_pages_fit_the_window(
    open_page: Callable[..., Page], receiver: Receiver, width: int, scheme: str
) -> None:
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    add_endpoint(page, receiver.url + "/" + "long" * 50)
    page.goto("/webhooks/")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("status").get_by_role("link")).to_be_visible()
    endpoint = Endpoint.objects.get()
    delivery = endpoint.deliveries.get()
    for path in ("", "new/", f"{endpoint.pk}/", f"{endpoint.pk}/edit/", f"{endpoint.pk}/delete/",
                 f"deliveries/{delivery.pk}/"):  # fmt: skip
        page.goto("/webhooks/" + path)
        expect(page.locator("#pi-main")).to_be_visible()
        inner = page.evaluate("document.documentElement.scrollWidth")
        assert inner <= width, f"{path} is {inner} wide"
