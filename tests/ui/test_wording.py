"""Deciding passages in a text."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.ui.wording import (
    LIKELY,
    STYLE,
    SURE,
    UNSURE,
    highlighted,
    percent,
    plural,
    reading,
    time_left,
    trust,
)


@pytest.mark.parametrize(
    ("confidence", "sure", "word"),
    [(0.4, True, SURE), (0.99, False, LIKELY), (0.5, False, LIKELY), (0.49, False, UNSURE)],
)
def test_trust_is_the_models_own_word_first(confidence: float, sure: bool, word: str):
    assert trust(confidence, sure) == word


@pytest.mark.parametrize(
    ("share", "told"),
    [(0, "0 %"), (0.004, "under 1 %"), (0.5, "50 %"), (0.996, "over 99 %"), (1, "100 %")],
)
def test_what_is_not_certain_is_never_called_so(share: float, told: str):
    assert percent(share) == told


def test_how_much_was_read():
    assert reading(1.0) == "All of the text was read."
    assert "25 %" in reading(0.25)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "1 s"), (59, "59 s"), (90, "2 min"), (5400, "1.5 h")]
)
def test_time_has_the_unit_that_suits_it(seconds: float, told: str):
    assert time_left(seconds) == told


def test_a_count_has_its_word():
    assert [plural(n, "row", "rows") for n in (1, 2000)] == ["1 row", "2,000 rows"]


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.marks = "", []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.marks.append((tag, dict(attrs).get("class")))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> _Text:
    reader = _Text()
    reader.feed(html.removeprefix(STYLE))
    reader.close()
    return reader


def passage(start: int, end: int, contribution: float) -> dict[str, float]:
    return {"start": start, "end": end, "contribution": contribution}


def test_the_passages_are_marked_by_what_they_add():
    text = "One. Two. Three. Four."
    passages = [passage(0, 5, 0.1), passage(5, 10, 0.9), passage(10, 17, -0.2)]
    found = parsed(highlighted(text, passages))
    assert found.text == text
    assert found.marks == [
        *(("div", "read"), ("mark", "supported"), ("mark", "decided"), ("span", "unread"))
    ]


def test_a_text_is_not_taken_for_html():
    html = highlighted("<script>alert(1)</script> & more", [passage(0, 32, 1.0)])
    assert "<script>" not in html
    assert parsed(html).text == "<script>alert(1)</script> & more"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=80),
    st.lists(
        st.tuples(st.integers(0, 80), st.integers(0, 80), st.floats(-1, 1)).map(
            lambda p: passage(min(p[:2]), max(p[:2]), p[2])
        ),
        max_size=6,
    ),
)
def test_the_text_is_whole_whatever_is_marked(text: str, passages: list[dict[str, float]]):
    assert parsed(highlighted(text, passages)).text == text
