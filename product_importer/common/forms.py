"""What the forms of every app share."""

from django import forms

from product_importer.common.errors import Invalid


def add_refusals(form: forms.BaseForm, error: Invalid) -> None:
    """Show beside each field of a form why an operation refused it."""
    for name, (code, text) in error.errors.items():
        form.add_error(name, forms.ValidationError(text, code))
