"""What can be said against a text before any model reads it. Knows characters only."""

import re
import unicodedata

FEW_WORDS = 8

_WORD = re.compile(r"\w+")


def doubts_about(text: str) -> list[str]:
    """Reasons in words why an answer on this text may be a guess; none for ordinary text."""
    letters = [char for char in text[:20_000] if char.isalpha()]
    if not letters:
        return ["the text has no letters; the answer is a guess"]
    latin = sum(char.isascii() or "LATIN" in unicodedata.name(char, "") for char in letters)
    doubts = []
    if latin < len(letters) / 2:
        doubts.append("the text is mostly in another script than the model has learnt from")
    words = len(_WORD.findall(text[:20_000]))
    if words < FEW_WORDS and latin >= len(letters) / 2:
        count = "one word" if words == 1 else f"{words} words"
        doubts.append(f"the text has only {count}; an abstract would be surer")
    return doubts
