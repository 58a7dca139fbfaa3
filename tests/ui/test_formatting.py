"""Numbers as text, and influential passages of a text."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patclass.ui.formatting import (
    HIGH,
    LOW,
    MEDIUM,
    STYLE,
    confidence_level,
    duration,
    highlighted,
    literal,
    percent,
    plain_level,
    plural,
    read_share_text,
    without_pictures,
)


@pytest.mark.parametrize(
    ("confidence", "sure", "level"),
    [(0.4, True, HIGH), (0.99, False, MEDIUM), (0.5, False, MEDIUM), (0.49, False, LOW)],
)
def test_the_threshold_of_the_model_takes_precedence(confidence: float, sure: bool, level: str):
    assert confidence_level(confidence, sure) == level


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.004, "< 1 %"), (0.5, "50 %"), (0.996, "> 99 %"), (1, "100 %")],
)
def test_a_share_close_to_certainty_is_not_rounded_to_it(share: float, text: str):
    assert percent(share) == text


def test_the_share_of_the_text_that_was_read_is_described():
    assert read_share_text(1.0) == "The full text was read."
    assert "25 %" in read_share_text(0.25)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (90, "2 min"), (5400, "1.5 h")]
)
def test_durations_have_a_suitable_unit(seconds: float, text: str):
    assert duration(seconds) == text


def test_a_count_is_formatted_with_its_noun():
    assert [plural(n, "row", "rows") for n in (1, 2000)] == ["1 row", "2,000 rows"]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.marks = "", []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.marks.append((tag, dict(attrs).get("class")))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> _Parser:
    parser = _Parser()
    parser.feed(html.removeprefix(STYLE))
    parser.close()
    return parser


def passage(start: int, end: int, contribution: float) -> dict[str, float]:
    return {"start": start, "end": end, "contribution": contribution}


def test_passages_are_marked_by_contribution():
    text = "One. Two. Three. Four."
    passages = [passage(0, 5, 0.1), passage(5, 10, 0.9), passage(10, 17, -0.2)]
    found = parsed(highlighted(text, passages))
    assert found.text == text
    assert found.marks == [
        ("div", "text"),
        ("mark", "second"),
        ("mark", "first"),
        ("span", "unread"),
    ]


def test_a_text_is_escaped_in_html():
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
def test_marking_preserves_the_text(text: str, passages: list[dict[str, float]]):
    assert parsed(highlighted(text, passages)).text == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Earth drilling; mining (95 %), well-known", "Earth drilling; mining (95 %), well-known"),
        ("![a](http://b/c.png)", "\\!\\[a\\](http://b/c.png)"),
        ("\\![a] <b> &amp; `c` *d* _e_ ~f~ $g$", "\\\\\\!\\[a\\] \\<b\\> \\&amp; \\`c\\` "
         "\\*d\\* \\_e\\_ \\~f\\~ \\$g\\$"),
        ("a :red[b] at 10:30", "a \\:red\\[b\\] at 10:30"),
        ("# a\n\n# b", "\\# a # b"),
        ("- a", "\\- a"),
        ("1. a", "1\\. a"),
    ],
)  # fmt: skip
def test_a_text_is_markdown_that_shows_it_as_it_is(text: str, shown: str):
    assert literal(text) == shown


@given(st.text())
def test_no_text_is_a_picture(text: str):
    assert "![" not in literal(text)
    assert "![" not in without_pictures(f"!{text}![a](b)")


def test_levels_have_names_that_people_read():
    assert [plain_level(level) for level in ("section", "main_group")] == ["Section", "Main group"]
