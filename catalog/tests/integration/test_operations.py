"""Turns: large acts write to the catalogue one at a time, in the order of their start."""

import pytest

from catalog.models import ChangeSet, Product
from catalog.operations import change_sets, products

pytestmark = pytest.mark.django_db


def opened() -> ChangeSet:
    return change_sets.open_change_set(kind=ChangeSet.Kind.IMPORT, actor=None)


def test_the_first_one_has_the_turn_and_may_ask_again() -> None:
    first, second = opened(), opened()
    assert not change_sets.take_turn(second)
    assert change_sets.take_turn(first)
    assert change_sets.take_turn(first)
    assert change_sets.whose_turn() == first


def test_the_next_one_has_its_turn_when_the_first_ends() -> None:
    first, second = opened(), opened()
    change_sets.take_turn(first)
    assert not change_sets.take_turn(second)
    change_sets.close_change_set(first.pk, status=ChangeSet.Status.COMPLETED)
    assert change_sets.take_turn(second)


def test_a_change_set_that_changed_nothing_can_be_dropped() -> None:
    first, second = opened(), opened()
    change_sets.count_changes(first.pk, created=1, updated=0)
    change_sets.drop_change_set(first.pk)
    change_sets.drop_change_set(second.pk)
    assert list(ChangeSet.objects.all()) == [first]


def test_a_stored_product_keeps_a_sku_that_is_cleaned_otherwise_today() -> None:
    product = Product.objects.create(sku="'13384", name="Ring")
    changed = products.update_product(
        product_id=product.pk, actor=None, data={"sku": "'13384", "name": "Necklace"}
    )
    assert (changed.sku, changed.name) == ("'13384", "Necklace")
    new = products.create_product(actor=None, data={"sku": "'13384", "name": "Ring"})
    assert new.sku == "13384"
