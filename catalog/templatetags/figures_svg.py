"""Small charts, drawn on the server: no script, and the figures are in the text as well."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.queries import Day

register = template.Library()

WIDTH, HEIGHT, GAP = 600, 80, 4


@register.simple_tag
def days_chart(days: list[Day], busiest: int) -> SafeString:
    """Stacked bars of created, updated and deleted products per day, oldest first."""
    step = WIDTH / max(1, len(days))
    bars = []
    for number, day in enumerate(days):
        top = float(HEIGHT)
        title = f"{day.day:%d %b}: {day.created:,} created, {day.updated:,} updated, "
        title += f"{day.deleted:,} deleted"
        for kind in ("created", "updated", "deleted"):
            value = getattr(day, kind)
            if not value:
                continue
            height = max(1.0, HEIGHT * value / busiest)
            top -= height
            bars.append(
                (
                    kind,
                    f"{number * step + GAP / 2:.1f}",
                    f"{top:.1f}",
                    f"{step - GAP:.1f}",
                    f"{height:.1f}",
                    title,
                )
            )
    rects = format_html_join(
        "",
        '<rect class="pi-bar-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        bars,
    )
    total = sum(day.total for day in days)
    return format_html(
        '<svg viewBox="0 0 {} {}" role="img" preserveAspectRatio="none" '
        'aria-label="Changes of the last {} days: {} products">{}</svg>',
        WIDTH,
        HEIGHT,
        len(days),
        f"{total:,}",
        rects,
    )
