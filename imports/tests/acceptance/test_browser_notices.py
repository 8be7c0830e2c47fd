"""A channel is told of imports that need somebody; a person chooses what to hear of."""

import json
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from conftest import wait_for
from imports.models import ImportJob, NoticeRecipient, Supplier
from webhooks.tests.receiver import Receiver, serve

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver, server = serve()
    yield receiver
    server.shutdown()
    server.server_close()


def test_a_channel_is_told_of_a_file_that_could_not_be_imported(
    open_page: Callable[..., Page], receiver: Receiver, upload: Callable[..., ImportJob]
) -> None:
    page = open_page()
    page.goto("/notices/")
    page.get_by_role("link", name="Chats").click()
    page.get_by_role("link", name="New chat").click()
    page.get_by_label("Name").fill("Prices")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_role("button", name="Add chat").click()
    page.get_by_role("button", name="Send a test to Prices").click()
    expect(page.get_by_text("A test is on its way to “Prices”.")).to_be_visible()
    # Not the message's arrival: the worker writes down how it went, and the wait, after that.
    waiting = NoticeRecipient.objects.filter(not_before__gt=timezone.now())
    wait_for(waiting.filter(leased_until=None).exists)
    waiting.update(not_before="2020-01-01T00:00:00Z")  # what waits for the digest
    upload("article,price\nA-1,1.00\n", file_name="lamps.csv")
    wait_for(lambda: len(receiver.received) == 2)
    test, told = (json.loads(one.body)["text"] for one in receiver.received)
    assert "This is a test" in test
    assert "“lamps.csv” could not be imported" in told


def test_a_person_chooses_by_keyboard_what_to_be_told_of(
    open_page: Callable[..., Page], user: User
) -> None:
    acme = Supplier.objects.create(name="Acme")
    page = open_page()
    page.goto("/notices/settings/")
    page.get_by_label("An import waits for review").focus()
    page.keyboard.press("Space")
    page.get_by_label("Those that are ticked").focus()
    page.keyboard.press("Space")
    page.get_by_label("Acme").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You are told of what is ticked from now on.")).to_be_visible()
    expect(page.get_by_label("An import waits for review")).not_to_be_checked()
    chosen = NoticeRecipient.objects.get(user=user)
    assert "needs_review" not in chosen.kinds
    assert (chosen.every_supplier, list(chosen.suppliers.all())) == (False, [acme])
