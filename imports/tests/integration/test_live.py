"""What pages follow: the bar, how a job ended, the badge, and when a page has to look again."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from conftest import Messages
from imports.models import ImportJob
from imports.operations import jobs

pytestmark = pytest.mark.django_db(transaction=True)

FILE = "sku,name\nA-1,Lamp\n"


def look(page: Client, query: str = "") -> str:
    return re.sub(r"\s+", " ", page.get(f"/imports/running/{query}").content.decode())


def version(text: str) -> str:
    match = re.search(r'data-version="([^"]+)"', text)
    assert match
    return match[1]


def test_a_job_that_a_page_followed_ends_with_a_sentence_and_a_link(
    page: Client, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(FILE, file_name="spring.csv")
    assert f'data-job="{job.pk}"' in look(page)
    messages.run_all()
    assert "spring.csv" not in look(page)
    text = look(page, f"?followed={job.pk},x,99999999999999999999")
    assert "Completed" in text
    assert "spring.csv" in text
    assert "1 created" in text
    assert f'href="/imports/{job.pk}/"' in text


def test_the_version_is_another_one_after_every_change(
    page: Client, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    seen = [version(look(page))]
    job = upload(FILE)
    seen.append(version(look(page)))
    messages.run_all()
    seen.append(version(look(page)))
    jobs.undo_import(job_id=job.pk, user=None)
    seen.append(version(look(page)))
    messages.run_all()
    seen.append(version(look(page)))
    assert len(set(seen)) == len(seen)
    assert version(look(page)) == seen[-1]


def test_what_waits_for_somebody_is_a_badge_in_the_navigation(
    page: Client, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    def navigation() -> str:
        return re.sub(r"\s+", " ", page.get("/products/").content.decode())

    assert 'data-waiting="0"' in look(page)
    assert "<span>Imports</span> </a>" in navigation()
    upload(FILE, review=True)
    messages.run_all()
    assert 'data-waiting="1"' in look(page)
    assert re.search(r"<span>Imports</span> <span[^>]*> 1 ", navigation())


@pytest.mark.parametrize("path", ["/", "/imports/"])
def test_the_lists_have_parts_that_follow(
    page: Client, upload: Callable[..., ImportJob], path: str
) -> None:
    upload(FILE)
    assert re.search(r'id="[\w-]+" data-live', page.get(path).content.decode())


def test_the_same_file_again_links_to_the_first(
    page: Client, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    first = upload(FILE, file_name="first.csv")
    messages.run_all()
    second = upload(FILE, file_name="second.csv")
    text = page.get(f"/imports/{second.pk}/").content.decode()
    assert f'<a href="/imports/{first.pk}/">first.csv</a>' in text
    assert text.count("very same file") + text.count("very file") == 1


def test_try_again_is_offered_only_where_it_can_help(
    page: Client, upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload("colour,size\nred,1\n")
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "failed"
    text = page.get(f"/imports/{job.pk}/").content.decode()
    assert "Try again" not in text
    assert "cannot help" in text
    other = upload(FILE)
    jobs.cancel_import(job_id=other.pk, user=None)
    assert "Try again" in page.get(f"/imports/{other.pk}/").content.decode()


def test_a_drop_elsewhere_is_offered_to_those_who_may_import(
    page: Client, client: Client, make_user: Callable[..., User]
) -> None:
    assert 'class="pi-drop"' in page.get("/imports/drop/").content.decode()
    client.force_login(make_user("vera", "viewer"))
    assert client.get("/imports/drop/").status_code == 403
