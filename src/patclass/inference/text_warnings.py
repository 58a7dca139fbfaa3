"""Warnings about a text, before any model has read it. Knows languages and letters, no labels."""

import re
import unicodedata
from collections.abc import Collection

from patclass.data.language import NAMES, OTHER_SCRIPTS, language_names, other_language
from patclass.inference.prediction import AnswerWarning

# An abstract of fewer words says too little.
MIN_WORDS = 8

# Confidences are calibrated on texts that the model can read; of others they say nothing.
NEVER_SURE = frozenset({"no_letters", "other_language", "other_script"})

_CHECKED_CHARS = 20_000
_WORD = re.compile(r"\w+")


def text_warnings(text: str, languages: Collection[str] = ("en",)) -> list[AnswerWarning]:
    """Warnings about a text: no letters, another language or script, too few words.

    :param languages: ISO 639-1 codes of those that the model knows; empty if that cannot be told.
    """
    letters = [char for char in text[:_CHECKED_CHARS] if char.isalpha()]
    if not letters:
        return [AnswerWarning("no_letters", "the text has no letters; the prediction is a guess")]
    language = other_language(text, languages)
    if language is not None:
        message = (
            f"the text is in {NAMES[language]}, but the model has learnt from texts in "
            f"{language_names(languages)}"
        )
        return [AnswerWarning("other_language", message)]
    latin = sum(char.isascii() or "LATIN" in unicodedata.name(char, "") for char in letters)
    if latin < len(letters) / 2:
        # Many scripts do not separate words, so they are not counted.
        if set(languages) & set(OTHER_SCRIPTS):
            return []
        message = "the text is mostly in another script than the training data"
        return [AnswerWarning("other_script", message)]
    words = len(_WORD.findall(text[:_CHECKED_CHARS]))
    if words < MIN_WORDS:
        count = "one word" if words == 1 else f"{words} words"
        message = f"the text has only {count}; an abstract gives a more reliable prediction"
        return [AnswerWarning("few_words", message)]
    return []
