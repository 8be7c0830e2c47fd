"""What operations refuse, in the API's words: one place for all apps."""

import pytest

from catalog.export import DoesNotFit
from catalog.operations import products
from catalog.operations.fields import FieldInUse
from catalog.operations.undo import NotUndoable
from catalog.queries.filters import BadFilter
from imports.operations import jobs, suppliers
from imports.operations.feeds import feeds
from imports.queries.mapping import NoMapping
from imports.queries.review import NoReview
from product_importer.common.downloads import RETRY_SECONDS, TooManyDownloads
from product_importer.common.errors import Invalid
from product_importer.web.exception_handler import explain
from webhooks.operations import endpoints


def test_what_is_refused_is_one_error_in_all_apps() -> None:
    assert products.Invalid is suppliers.Invalid is endpoints.Invalid is Invalid


def test_values_that_cannot_be_are_a_400_by_field() -> None:
    error = Invalid({"name": ("blank", "Write one."), "url": ("invalid", "It is no address.")})
    answer = explain(error, {})
    assert answer is not None
    assert answer.status_code == 400
    assert answer.data["code"] == "invalid"
    assert answer.data["errors"] == {
        "name": [{"message": "Write one.", "code": "blank"}],
        "url": [{"message": "It is no address.", "code": "invalid"}],
    }
    assert error.sentence == "Write one. It is no address."


def test_a_filter_that_does_not_exist_is_one_of_them() -> None:
    answer = explain(BadFilter({"colour": "There is none."}), {})
    assert answer is not None
    assert answer.status_code == 400
    assert answer.data["errors"] == {"colour": [{"message": "There is none.", "code": "invalid"}]}


@pytest.mark.parametrize(
    "kind",
    [
        DoesNotFit,
        FieldInUse,
        NotUndoable,
        NoMapping,
        NoReview,
        endpoints.Refused,
        feeds.NotNow,
        jobs.Refused,
    ],
)
def test_what_does_not_fit_to_how_things_stand_is_a_409(kind: type[Exception]) -> None:
    answer = explain(kind("It is under way."), {})
    assert answer is not None
    assert answer.status_code == 409
    assert answer.data == {"detail": "It is under way.", "code": "conflict"}


def test_one_download_too_many_is_a_429_that_says_when_to_come_back() -> None:
    answer = explain(TooManyDownloads("Three are under way."), {})
    assert answer is not None
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == str(RETRY_SECONDS)
    assert answer.data["code"] == "busy"
