"""Deciding passages in a text."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from patclass.ui.highlight import STYLE, highlighted


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
