"""Figures in words, and a text with its passages marked. Knows no service and no page."""

from collections.abc import Sequence
from html import escape
from typing import Any

SURE, LIKELY, UNSURE = "sure", "likely", "unsure: have it checked"

# Right more often than not.
_EVEN = 0.5


def trust(confidence: float, sure: bool) -> str:
    """How far an answer can be relied on, in a word.

    :param sure: whether the service says so, by the model's own threshold.
    """
    if sure:
        return SURE
    return LIKELY if confidence >= _EVEN else UNSURE


def percent(share: float) -> str:
    """A share as people write it; never 0 % or 100 % for what is not certain."""
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")


def reading(share: float) -> str:
    """How much of a text was read."""
    if share >= 1:
        return "All of the text was read."
    return (
        f"Only the first part, {percent(share)} of the text, was read: the model reads no further."
    )


def time_left(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def plural(count: int, one: str, many: str) -> str:
    """A count with the word in its form."""
    return f"{count:,} {one if count == 1 else many}"


# How strongly the passages are marked, the one that decided most first.
STEPS = ("decided", "supported", "hinted")

# Half-transparent so that they are readable on light and dark; underlined so that they are without
# colours.
STYLE = """<style>
.read { line-height: 1.7; max-height: 26rem; overflow-y: auto; overflow-wrap: anywhere; }
.read mark { color: inherit; padding: .1em .15em; border-radius: .2em; }
.read .decided { background: rgb(245 158 11 / 45%); border-bottom: 3px solid currentcolor; }
.read .supported { background: rgb(245 158 11 / 27%); border-bottom: 2px solid currentcolor; }
.read .hinted { background: rgb(245 158 11 / 13%); border-bottom: 1px dotted currentcolor; }
.read .unread { opacity: .55; }
</style>"""

_MARKED = {"decided": "decided most", "supported": "supports it", "hinted": "points to it"}


def highlighted(text: str, passages: Sequence[dict[str, Any]]) -> str:
    """``text`` as HTML, its deciding passages marked, what was not read paler.

    :param passages: with ``start``, ``end`` and ``contribution``, as the service names them.
    """
    ordered = sorted(passages, key=lambda passage: passage["start"])
    best = sorted((p for p in ordered if p["contribution"] > 0), key=lambda p: -p["contribution"])
    steps = {id(passage): step for passage, step in zip(best, STEPS, strict=False)}
    parts, at = [], 0
    for passage in ordered:
        start, end = max(at, passage["start"]), max(at, passage["end"])
        parts.append(_piece(text[at:start], "unread" if text[at:start].strip() else None))
        parts.append(_piece(text[start:end], steps.get(id(passage))))
        at = end
    parts.append(_piece(text[at:], "unread" if text[at:].strip() else None))
    return f'{STYLE}<div class="read">{"".join(parts)}</div>'


def plain(text: str) -> str:
    """``text`` as HTML with nothing marked."""
    return f'{STYLE}<div class="read">{escape(text)}</div>'


def _piece(text: str, kind: str | None) -> str:
    inside = escape(text)
    if kind is None:
        return inside
    if kind == "unread":
        return f'<span class="unread" title="not read">{inside}</span>'
    return f'<mark class="{kind}" title="{_MARKED[kind]}">{inside}</mark>'
