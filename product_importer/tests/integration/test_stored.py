"""No browser and no proxy stores an answer; static files are stored."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.templatetags.static import static
from django.test import Client, RequestFactory

from catalog.models import Product
from product_importer.tests.integration.test_roles import ADDRESSES
from product_importer.web.request_middleware import keep_nothing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


@pytest.mark.parametrize("known", [True, False])
def test_no_answer_is_stored(known: bool, user: User) -> None:
    client = Client()
    if known:
        User.objects.update(is_staff=True, is_superuser=True)
        client.force_login(user)
    stored = []
    for name, path in (*ADDRESSES, ("admin", "/admin/"), ("users", "/admin/auth/user/")):
        for method in ("get", "head", "options"):
            answer = getattr(client, method)(path, headers={"accept": "*/*"})
            if "no-store" not in answer.headers.get("Cache-Control", ""):
                stored.append((method, name))
    assert stored == []


@pytest.mark.parametrize(
    "path",
    [
        "/products/export.csv",
        "/api/v1/products/export.csv",
        "/api/v1/products/{pk}/",
        "/products/{pk}/",
    ],
)
def test_what_holds_data_is_not_stored(
    path: str, page: Client, make_product: Callable[..., Product]
) -> None:
    answer = page.get(path.format(pk=make_product().pk))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"


def test_static_files_are_stored() -> None:
    answer = Client().get(static("product_importer/app.js"))
    assert answer.status_code == 200
    assert "max-age=315360000" in answer.headers["Cache-Control"]
    answer.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("public, max-age=3600", "no-store"),
        ("no-cache", "no-store"),
        ("max-age=0, no-cache, no-store, private", "max-age=0, no-cache, no-store, private"),
    ],
)
def test_a_view_may_be_stricter_but_not_laxer(said: str, told: str) -> None:
    answer = keep_nothing(lambda request: HttpResponse(headers={"Cache-Control": said}))
    assert answer(RequestFactory().get("/")).headers["Cache-Control"] == told
