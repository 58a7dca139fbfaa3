"""What is said against a text that no model should be trusted with."""

import pytest

from patclass.evidence.script import FEW_WORDS, doubts_about

ORDINARY = (
    "A hand tool for loosening rusted bolts comprises a ratchet head and a hollow handle that "
    "stores a penetrating oil."
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ORDINARY, id="English"),
        pytest.param(
            "Ein Verfahren zur Herstellung von Papier mit einer erhöhten Nassfestigkeit, wobei "
            "Größe und Menge geprüft werden.",
            id="German",
        ),
        pytest.param(f"{ORDINARY} α β γ δ λ", id="a few Greek symbols"),
        pytest.param(f"{ORDINARY} 3.14 x 10^-9 §§ 🧪", id="figures and signs"),
        pytest.param("one two three four five six seven eight", id="just enough words"),
    ],
)
def test_ordinary_text_raises_no_doubt(text: str):
    assert doubts_about(text) == []


@pytest.mark.parametrize("text", ["Bearing.", "  soil", "x"])
def test_one_word_is_too_few(text: str):
    assert doubts_about(text) == ["the text has only one word; an abstract would be surer"]


@pytest.mark.parametrize("count", [2, FEW_WORDS - 1])
def test_a_few_words_are_counted(count: int):
    (doubt,) = doubts_about("word " * count)
    assert f"only {count} words" in doubt


@pytest.mark.parametrize("text", ["", "0123456789", "3.14 * 10^-9", "§§ +-*/ 🧪🧪"])
def test_without_letters_the_answer_is_a_guess(text: str):
    assert doubts_about(text) == ["the text has no letters; the answer is a guess"]


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
def test_another_script_is_said_once(text: str):
    """Words cannot be counted where they are not set apart, so nothing is said of their number."""
    assert doubts_about(text) == [
        "the text is mostly in another script than the model has learnt from"
    ]


def test_a_huge_text_is_judged_by_its_head():
    assert doubts_about(ORDINARY * 10_000) == []
    assert len(doubts_about("半" * 900_000)) == 1
