"""The spark line of an endpoint's day, and latencies in words."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from webhooks.models import Attempt
from webhooks.queries import Day

register = template.Library()

WIDTH, HEIGHT = 120, 24


@register.simple_tag
def spark(day: Day) -> SafeString:
    """A bar for each hour of the last day, the oldest on the left; failures on top."""
    busiest = max((good + bad for good, bad in day.hours), default=0)
    step = WIDTH / len(day.hours)
    bars = []
    for number, (good, bad) in enumerate(day.hours):
        top = float(HEIGHT)
        title = f"{len(day.hours) - number} h ago: {good:,} succeeded, {bad:,} failed"
        for kind, value in (("good", good), ("bad", bad)):
            if not value:
                continue
            height = max(1.5, HEIGHT * value / busiest)
            top -= height
            bars.append(
                (
                    kind,
                    f"{number * step:.1f}",
                    f"{max(0.0, top):.1f}",
                    f"{step - 1:.1f}",
                    f"{height:.1f}",
                    title,
                )
            )
    rects = format_html_join(
        "",
        '<rect class="wh-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        bars,
    )
    return format_html(
        '<svg class="wh-spark" viewBox="0 0 {} {}" role="img" preserveAspectRatio="none" '
        'aria-label="Last 24 hours: {} attempts, {} succeeded">{}</svg>',
        WIDTH,
        HEIGHT,
        f"{day.attempts:,}",
        f"{day.succeeded:,}",
        rects,
    )


@register.filter
def ms(value: float | None) -> str:
    """``0.4 ms``, ``43 ms``, ``2.1 s``; a dash for what was not measured."""
    if value is None:
        return "—"
    if value < 10:
        return f"{value:.1f} ms"
    return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


@register.filter
def outcome(attempt: Attempt) -> str:
    """``200 in 43 ms``, or what went wrong in words."""
    if attempt.response_status is None:
        return attempt.detail or attempt.error
    return f"{attempt.response_status} in {ms(attempt.latency_ms)}"
