"""Values for templates: times that the browser localises, and figures with their units."""

import re
from datetime import UTC, datetime

from django import template
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from apps.console import display
from apps.lib.text import plain_text, terminal_text

register = template.Library()


def time_element(at: datetime | None, style: str) -> SafeString:
    if at is None:
        return format_html('<span class="none">{}</span>', display.NONE)
    text = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return format_html(
        '<time datetime="{}" data-as="{}" title="{}">{}</time>',
        at.isoformat(timespec="seconds"),
        style,
        text,
        text,
    )


@register.filter
def ago(at: datetime | None) -> SafeString:
    """As in "3 min": how long ago, kept true by the browser."""
    return time_element(at, "ago")


@register.filter
def clock(at: datetime | None) -> SafeString:
    """The time of day, with the date unless it was today."""
    return time_element(at, "clock")


register.filter("size", display.size_text)
register.filter("money", display.money)
register.filter("number", display.number)
register.filter("percent", display.percent)
register.filter("duration", display.duration)


@register.filter
def screen(text: str, limit: int = 20_000) -> str:
    """Lines of text from outside, as a terminal would show them."""
    return terminal_text(str(text or "")[:limit])


@register.filter
def plain(text: str, limit: int = 500) -> str:
    """One line of text from outside."""
    return plain_text(str(text or ""), limit)


@register.filter
def ticks(text: str) -> SafeString:
    """`Words` between backticks as code."""
    return mark_safe(re.sub("`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S308
