"""Small charts, drawn on the server: no script, and the figures are in the text as well."""

from collections.abc import Sequence
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.queries.products import Day

register = template.Library()

WIDTH, HEIGHT, GAP = 600, 80, 4


@register.simple_tag
def days_chart(days: list[Day], busiest: int) -> SafeString:
    """Stacked bars of created, updated and deleted products per day, oldest first."""
    kinds = {"created": "created", "updated": "updated", "deleted": "deleted"}
    return _stacked_bars(days, busiest, kinds=kinds, title="Changes", unit="products")


@register.simple_tag
def imports_chart(days: Sequence[Any], busiest: int) -> SafeString:
    """Stacked bars of completed, failed and other imports per day, oldest first."""
    kinds = {"completed": "created", "failed": "deleted", "other": "updated"}
    return _stacked_bars(days, busiest, kinds=kinds, title="Imports", unit="imports")


def _stacked_bars(
    days: Sequence[Any], busiest: int, *, kinds: dict[str, str], title: str, unit: str
) -> SafeString:
    """``days`` have a ``day``, a ``total`` and a count per kind; ``kinds`` maps it to a colour."""
    step = WIDTH / max(1, len(days))
    bars = []
    for number, day in enumerate(days):
        top = float(HEIGHT)
        counts = ", ".join(f"{getattr(day, kind):,} {kind}" for kind in kinds)
        for kind, colour in kinds.items():
            value = getattr(day, kind)
            if not value:
                continue
            height = max(1.0, HEIGHT * value / busiest)
            top -= height
            bars.append(
                (
                    colour,
                    f"{number * step + GAP / 2:.1f}",
                    f"{top:.1f}",
                    f"{step - GAP:.1f}",
                    f"{height:.1f}",
                    f"{day.day:%d %b}: {counts}",
                )
            )
    rects = format_html_join(
        "",
        '<rect class="pi-bar-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        bars,
    )
    return format_html(
        '<svg viewBox="0 0 {} {}" role="img" preserveAspectRatio="none" '
        'aria-label="{} of the last {} days: {} {}">{}</svg>',
        WIDTH,
        HEIGHT,
        title,
        len(days),
        f"{sum(day.total for day in days):,}",
        unit,
        rects,
    )
