"""The form of an endpoint. The rules are the operation's (``webhooks.operations.endpoints``)."""

from typing import Any

from django import forms

from product_importer.common.address_guard import MAX_LENGTH
from webhooks.models import DESCRIPTION_MAX_LENGTH, SUBSCRIBABLE

MEANINGS = {
    "product.created": "one product was created in a form or by API",
    "product.updated": "one product was edited",
    "product.deleted": "one product was deleted",
    "products.changed": "an import, a bulk act or an undo changed up to 500 products",
    "products.bulk_deleted": "a bulk delete has ended",
    "import.awaiting_review": "an import waits to be applied or discarded, with the reasons",
    "import.awaiting_mapping": "an import waits for somebody to match its columns",
    "import.completed": "an import has ended, with its counts",
    "import.failed": "an import has failed, with the reason",
    "import.cancelled": "somebody stopped an import",
    "import.undone": "an import was taken back",
    "feed.failed": "a supplier's file could not be fetched, with the reason",
}


class EndpointForm(forms.Form):
    url = forms.CharField(
        label="URL",
        max_length=MAX_LENGTH,
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/hook"}),
        help_text="Where each message goes by POST. Public addresses only.",
    )
    description = forms.CharField(required=False, max_length=DESCRIPTION_MAX_LENGTH)
    events = forms.MultipleChoiceField(
        choices=[(name, name) for name in SUBSCRIBABLE],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one event."},
    )

    def choices_with_meanings(self) -> list[dict[str, Any]]:
        chosen = self["events"].value() or []
        return [
            {"name": name, "meaning": MEANINGS[name], "checked": name in chosen}
            for name in SUBSCRIBABLE
        ]
