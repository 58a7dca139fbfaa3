"""The language of a text, or that it cannot be told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from languages import ABSTRACTS
from patclass.data.language import (
    MIN_CHARACTERS,
    MIN_WORDS,
    NAMES,
    language_names,
    language_of,
    languages_of,
    other_language,
)

ENGLISH, GERMAN, FRENCH = (ABSTRACTS[code][1] for code in ("en", "de", "fr"))


def test_every_language_has_an_abstract_and_its_name():
    assert {code: name for code, (name, _) in ABSTRACTS.items()} == NAMES


@pytest.mark.parametrize("code", NAMES)
def test_the_language_of_an_abstract_is_told(code: str):
    text = ABSTRACTS[code][1]
    assert language_of(text) == language_of(text.upper()) == code
    assert other_language(text, ("en",)) == (None if code == "en" else code)
    assert other_language(text, NAMES) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ".join(GERMAN.split()[: MIN_WORDS - 1]),
        ABSTRACTS["ja"][1][: MIN_CHARACTERS - 1],
        "polymer " * 50,
        "Διάταξη ημιαγωγών και μέθοδος κατασκευής της διάταξης με πύλη και πηγή στο υπόστρωμα του.",
        "1.5 § 7 " * 50,
    ],
    ids=["none", "few words", "few characters", "one word often", "Greek", "figures"],
)
def test_the_language_of_other_texts_is_not_told(text: str):
    assert language_of(text) is None
    assert other_language(text, ("en",)) is None


def test_a_text_in_two_languages_is_not_foreign_to_a_model_of_one_of_them():
    assert other_language(f"{ENGLISH} {GERMAN}", ("en",)) is None
    assert other_language(f"Pump with a valve. {GERMAN}", ("en",)) == "de"


def test_names_and_words_of_other_languages_do_not_make_a_text_foreign():
    text = f"The die of La Coruña, des Moines and van der Waals, e.g. los. {ENGLISH} LED 半導体"
    assert language_of(text) == "en"


def test_nothing_is_foreign_to_a_model_whose_languages_are_not_known():
    assert other_language(GERMAN, ()) is None


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], ()),
        (["Loom"], ()),
        ([ENGLISH, "Loom"], ("en",)),
        ([GERMAN, FRENCH, FRENCH], ("fr", "de")),
        ([ENGLISH] * 20 + [GERMAN], ("en",)),
        ([ENGLISH] * 19 + [GERMAN], ("en", "de")),
        ([ENGLISH, "polymer " * 50], ()),
    ],
    ids=["none", "short", "and short", "two", "below 5 %", "5 %", "half unknown"],
)
def test_the_languages_of_a_corpus(texts: list[str], found: tuple[str, ...]):
    assert languages_of(texts) == found


def test_languages_are_named():
    assert language_names(["de", "fr"]) == "German and French"
    assert language_names(["de", "fr", "it"]) == "German, French and Italian"
    assert language_names(["de"]) == "German"
    assert language_names([]) == ""


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=200), st.sets(st.sampled_from(sorted(NAMES)), max_size=3))
def test_any_text_is_of_one_language_or_none(text: str, known: set[str]):
    assert language_of(text) in {*NAMES, None}
    assert other_language(text, known) not in known
