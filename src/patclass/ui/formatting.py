"""Numbers as text, text as Markdown or HTML that shows it as it is, and marked passages."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

HIGH, MEDIUM, LOW = "High", "Medium", "Low"

# Half-transparent colours are readable on light and dark backgrounds; underlines are visible
# without colour.
STYLE = """<style>
.text { line-height: 1.7; max-height: 26rem; overflow-y: auto; overflow-wrap: anywhere; }
.text mark { color: inherit; padding: .1em .15em; border-radius: .2em; }
.text .first { background: rgb(245 158 11 / 45%); border-bottom: 3px solid currentcolor; }
.text .second { background: rgb(245 158 11 / 27%); border-bottom: 2px solid currentcolor; }
.text .third { background: rgb(245 158 11 / 13%); border-bottom: 1px dotted currentcolor; }
.text .unread { opacity: .55; }
</style>"""

# What begins markup anywhere in a line, a directive of Streamlit, or a line of another kind.
_MARKUP = re.compile(r"[\\`*_\[\]<>&$~|{}^!]|:(?=[A-Za-z])|^[#+=-]|^\d+(?=[.)])")
_PICTURE = re.compile(r"!(?=\[)")

_RANKS = ("first", "second", "third")  # classes of the passages that contribute most
_TOOLTIPS = {
    "first": "most influential",
    "second": "second most influential",
    "third": "third most influential",
}


def confidence_level(confidence: float, sure: bool) -> str:
    """``HIGH``, ``MEDIUM`` or ``LOW``.

    :param sure: whether the confidence reaches the threshold of the model.
    """
    if sure:
        return HIGH
    return MEDIUM if confidence >= 0.5 else LOW


def percent(share: float) -> str:
    """A share in per cent; never 0 % or 100 % for what is only close to it."""
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{share:.0%}".replace("%", " %")


def read_share_text(share: float) -> str:
    """How much of a text the model has read."""
    if share >= 1:
        return "The full text was read."
    return f"Only {percent(share)} of the text was read; the rest exceeds the model's input length."


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def plural(count: int, singular: str, plural: str) -> str:
    """A count with its noun."""
    return f"{count:,} {singular if count == 1 else plural}"


def literal(text: str) -> str:
    """``text`` from outside of the page, as Markdown of one line that shows it as it is.

    Whatever is shown by an element that reads Markdown goes through here, so that no label, title
    or message can load a picture or pass for a part of the page.
    """
    return _MARKUP.sub(_escaped, " ".join(text.split()))


def plain_level(level: str) -> str:
    """The name of a level as a heading: ``main_group`` is "Main group"."""
    return level.replace("_", " ").capitalize()


def level_name(level: str) -> str:
    """The name of a level as a choice, which Streamlit reads as Markdown."""
    return literal(plain_level(level))


def without_pictures(markdown: str) -> str:
    """A document in Markdown whose pictures are shown as text, as they lie on other hosts."""
    return _PICTURE.sub("! ", markdown)


def _escaped(found: re.Match[str]) -> str:
    # A number that would begin a list is no punctuation: what follows it is escaped.
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"


def highlighted(text: str, passages: Sequence[Mapping[str, Any]]) -> str:
    """``text`` as HTML, its influential passages marked, unread parts dimmed.

    :param passages: with ``start``, ``end`` and ``contribution``, as in the API.
    """
    ordered = sorted(passages, key=lambda passage: passage["start"])
    best = sorted((p for p in ordered if p["contribution"] > 0), key=lambda p: -p["contribution"])
    ranks = {id(passage): rank for passage, rank in zip(best, _RANKS, strict=False)}
    parts, position = [], 0
    for passage in ordered:
        start, end = max(position, passage["start"]), max(position, passage["end"])
        parts.append(_unread(text[position:start]))
        parts.append(_marked(text[start:end], ranks.get(id(passage))))
        position = end
    parts.append(_unread(text[position:]))
    return f'{STYLE}<div class="text">{"".join(parts)}</div>'


def plain(text: str) -> str:
    """``text`` as HTML with nothing marked."""
    return f'{STYLE}<div class="text">{escape(text)}</div>'


def _marked(text: str, rank: str | None) -> str:
    if rank is None:
        return escape(text)
    return f'<mark class="{rank}" title="{_TOOLTIPS[rank]}">{escape(text)}</mark>'


def _unread(text: str) -> str:
    if not text.strip():
        return escape(text)
    return f'<span class="unread" title="not read">{escape(text)}</span>'
