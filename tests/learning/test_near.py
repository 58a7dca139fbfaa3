"""Near-duplicates by shared runs of words."""

from hypothesis import given
from hypothesis import strategies as st

from patclass.learning.near import NearTexts

ABSTRACT = (
    "A drill bit for boreholes has a steel body with blades that carry cutters of diamond, and "
    "nozzles that flush cuttings into the annulus between the string and the wall of the hole."
)


def test_the_same_text_is_near():
    assert NearTexts(["A loom.", ABSTRACT]).has(ABSTRACT.upper())


def test_a_text_with_a_word_changed_is_near():
    assert NearTexts([ABSTRACT]).has(ABSTRACT.replace("diamond", "carbide"))


def test_a_text_that_goes_on_a_little_is_near():
    assert NearTexts([ABSTRACT]).has(ABSTRACT + " The nozzles can be exchanged.")


def test_other_words_are_not_near():
    other = "A loom has a heald that lifts warp threads, and a reed that beats up the weft."
    assert not NearTexts([other, "A loom."]).has(ABSTRACT)
    assert not NearTexts([]).has(ABSTRACT)


def test_a_sentence_in_common_is_not_enough():
    shared = "In one embodiment the device is arranged on a support."
    others = NearTexts([f"{shared} {ABSTRACT}"])
    assert not others.has(f"{shared} A loom has a heald that lifts warp threads and a reed.")


@given(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=5))
def test_every_text_is_near_to_itself(text: str, others: list[str]):
    assert NearTexts([*others, text]).has(text)
