"""How numbers, times and sizes are written on pages."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from product_importer.common.wording import value_text

register = template.Library()

LONGEST = 300  # characters of a value in a list


@register.filter
def megabytes(size: int) -> str:
    """A size in bytes as MB (10^6 bytes), with more digits the smaller it is."""
    millions = size / 1e6
    if millions >= 100:
        return f"{millions:,.0f} MB"
    if millions >= 1:
        return f"{millions:.1f} MB"
    return f"{max(size / 1e3, 0.1):,.1f} kB" if size else "0 kB"


@register.filter
def duration(seconds: float | None) -> str:
    """``4.6 s``, ``2 min 10 s``, ``1 h 5 min``."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@register.filter
def percent(change: Decimal) -> str:
    """A change in per cent: ``+12.5 %``, ``-3.0 %``, ``+0.04 %``; from 0 there is none."""
    if not change.is_finite():
        return "from 0"
    places = 1 if abs(change) >= Decimal("0.1") else 2
    return f"{change:+,.{places}f} %".replace("-", "\u2212")


def told(value: Any, field: str) -> str:
    """A value of a product's field in words."""
    if field == "active":
        return "Active" if value else "Inactive"
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if value is None or value == "":
        return "none"
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = f"{value:,.2f}" if isinstance(value, Decimal) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


@register.filter
def listed(words: str) -> list[str]:
    return words.split()


@register.filter
def item(values: Mapping[str, Any], name: str) -> Any:
    """What a dictionary has under a name that only the template knows."""
    return values.get(name, "")


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """A time relative to now, the exact one on hover."""
    if moment is None:
        return ""
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 45:
        text = "just now"
    elif seconds < 3600:
        text = f"{max(1, round(seconds / 60))} min ago"
    elif seconds < 86_400:
        text = f"{round(seconds / 3600)} h ago"
    elif seconds < 30 * 86_400:
        days = round(seconds / 86_400)
        text = f"{days} day{'s' if days > 1 else ''} ago"
    else:
        text = f"{moment:%d %b %Y}"
    exact = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        f"{exact:%d %b %Y, %H:%M:%S %Z}",
        text,
    )


@register.filter
def ahead(moment: datetime, now: datetime) -> SafeString:
    """``in 5 s``, ``in 2 h``, ``in 6 days``: a time relative to now, the exact one on hover."""
    seconds = max(0.0, (moment - now).total_seconds())
    if seconds < 90:
        text = f"in {seconds:.0f} s"
    elif seconds < 5400:
        text = f"in {seconds / 60:.0f} min"
    elif seconds < 48 * 3600:
        text = f"in {seconds / 3600:.0f} h"
    else:
        text = f"in {seconds / 86_400:.0f} days"
    exact = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        f"{exact:%d %b %Y, %H:%M:%S %Z}",
        text,
    )


register.filter("stored", value_text)
