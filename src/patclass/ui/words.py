"""Numbers in words that a reader of patents uses. Knows no service and no page."""

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
