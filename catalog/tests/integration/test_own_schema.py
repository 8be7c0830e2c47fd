"""The description of the API has the fields of this catalogue."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from catalog.operations import fields

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


def schema(user: User | None = None) -> dict[str, Any]:
    client = APIClient()
    client.force_authenticate(user)
    answer = client.get("/api/v1/schema/", {"format": "json"})
    assert answer.status_code == 200
    return dict(answer.json())


@pytest.fixture
def defined() -> None:
    for data in (
        {"label": "Brand", "type": "text"},
        {"label": "Stock", "type": "integer"},
        {"label": "Size", "type": "choice", "options": {"choices": ["S", "M"]}},
    ):
        fields.create_field(data=data)


@pytest.mark.usefixtures("defined")
def test_the_description_has_the_fields_and_their_filters(make_user: Callable[..., User]) -> None:
    found = schema(make_user("vera", "viewer"))
    own = found["components"]["schemas"]["Product"]["properties"]["fields"]
    assert list(own["properties"]) == ["brand", "stock", "size"]
    assert own["properties"]["stock"] == {"type": "integer", "title": "Stock", "nullable": True}
    assert own["properties"]["size"]["enum"] == ["S", "M", None]
    assert own["additionalProperties"] is False
    for path in ("/api/v1/products/", "/api/v1/products/export.xlsx"):
        parameters = found["paths"][path]["get"]["parameters"]
        names = {one["$ref"].rpartition("/")[2] for one in parameters if "$ref" in one}
        assert {"fields.brand", "fields.brand__contains", "fields.stock__gte"} <= names
        assert not {"fields.stock__contains", "fields.brand__gte"} & names


@pytest.mark.usefixtures("defined")
def test_strangers_are_not_told_of_the_fields(make_user: Callable[..., User]) -> None:
    for user in (None, make_user("nora", "")):
        text = str(schema(user))
        assert "fields.stock__gte" not in text
        assert "x-own-fields" not in text


def test_without_fields_any_values_are_described(make_user: Callable[..., User]) -> None:
    own = schema(make_user())["components"]["schemas"]["Product"]["properties"]["fields"]
    assert own["additionalProperties"]["nullable"] is True
