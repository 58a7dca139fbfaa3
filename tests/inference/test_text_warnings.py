"""Warnings about a text alone."""

import pytest

from languages import ABSTRACTS
from patclass.inference import AnswerWarning
from patclass.inference.text_warnings import MIN_WORDS, text_warnings

ORDINARY = (
    "A hand tool for loosening rusted bolts comprises a ratchet head and a hollow handle that "
    "stores a penetrating oil."
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ORDINARY, id="English"),
        pytest.param("Ein Verfahren zur Herstellung von Papier mit hoher Festigkeit", id="a title"),
        pytest.param(f"{ORDINARY} α β γ δ λ", id="a few Greek symbols"),
        pytest.param(f"{ORDINARY} 3.14 x 10^-9 §§ 🧪", id="figures and signs"),
        pytest.param("one two three four five six seven eight", id="just enough words"),
    ],
)
def test_an_ordinary_text_has_no_warnings(text: str):
    assert text_warnings(text) == []


@pytest.mark.parametrize("text", ["Bearing.", "  soil", "x"])
def test_a_single_word_is_warned_about(text: str):
    assert text_warnings(text) == [
        AnswerWarning(
            "few_words", "the text has only one word; an abstract gives a more reliable prediction"
        )
    ]


@pytest.mark.parametrize("count", [2, MIN_WORDS - 1])
def test_the_number_of_words_of_a_short_text_is_reported(count: int):
    (warning,) = text_warnings("word " * count)
    assert warning.code == "few_words"
    assert f"only {count} words" in warning.message


@pytest.mark.parametrize("text", ["", "0123456789", "3.14 * 10^-9", "§§ +-*/ 🧪🧪"])
def test_a_text_without_letters_is_warned_about(text: str):
    assert text_warnings(text) == [
        AnswerWarning("no_letters", "the text has no letters; the prediction is a guess")
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("半導体装置とその製造方法。", id="Japanese"),
        pytest.param("반도체 장치 및 그 제조 방법", id="Korean"),
        pytest.param("Διάταξη ημιαγωγών και μέθοδος κατασκευής", id="Greek"),
        pytest.param("Полупроводниковое устройство и способ его изготовления", id="Cyrillic"),
        pytest.param("半導体装置 LED とその製造方法", id="Japanese with an English word"),
    ],
)
def test_another_script_is_reported_once(text: str):
    """Without word separators words cannot be counted, so their number is not reported."""
    assert text_warnings(text) == [
        AnswerWarning("other_script", "the text is mostly in another script than the training data")
    ]


def test_a_huge_text_is_checked_by_its_head():
    assert text_warnings(ORDINARY * 10_000) == []
    assert len(text_warnings("半" * 900_000)) == 1


@pytest.mark.parametrize("code", sorted(set(ABSTRACTS) - {"en"}))
def test_another_language_is_named(code: str):
    name, text = ABSTRACTS[code]
    message = f"the text is in {name}, but the model has learnt from texts in English"
    assert text_warnings(text) == [AnswerWarning("other_language", message)]
    assert text_warnings(text, ("en", code)) == []
    assert not [each for each in text_warnings(text, ()) if each.code == "other_language"]


def test_an_english_text_is_foreign_to_a_model_of_other_languages():
    (warning,) = text_warnings(ORDINARY, ("de", "fr"))
    assert warning.code == "other_language"
    assert warning.message.endswith(
        "is in English, but the model has learnt from texts in German and French"
    )


def test_a_model_of_another_script_does_not_warn_of_it():
    assert text_warnings("半導体装置とその製造方法。", ("ja",)) == []
