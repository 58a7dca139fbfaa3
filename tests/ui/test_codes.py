"""All codes of a patent."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from patclass.ui.views.codes import assigned, chips


def code(name: str, level: str, probability: float, role: str = "additional") -> dict[str, Any]:
    title = f"Title of <{name}>"
    return {
        "code": name,
        "title": title,
        "level": level,
        "probability": probability,
        "precision": round(probability - 0.2, 2),
        "role": role,
    }


CODES = [
    code("C", "section", 0.3),
    code("E", "section", 0.97, "main"),
    code("E21B", "subclass", 0.93, "main"),
    code("Y02E", "subclass", 0.5),
    code("C09K", "subclass", 0.62),
]


@pytest.mark.parametrize(
    ("least", "found"),
    [
        (0.1, ["E", "C", "E21B", "C09K", "Y02E"]),
        (0.5, ["E", "E21B", "C09K", "Y02E"]),
        (0.95, ["E", "E21B"]),
        (0.99, ["E", "E21B"]),
    ],
)
def test_codes_are_assigned_from_a_probability_on(least: float, found: list[str]):
    assert [code["code"] for code in assigned(CODES, "probability", least)] == found


def test_a_chip_has_code_title_probability_and_role():
    shown = chips(assigned(CODES, "probability", 0.5))
    assert shown.index("Section") < shown.index("Subclass")
    assert '<li class="main" title="Title of &lt;E21B&gt;">E21B <small>93 %, main</small>' in shown
    assert "C09K <small>62 %</small>" in shown
    assert "<C09K>" not in shown


def test_the_chips_of_a_level_are_bounded():
    assert "<li>40 more</li>" in chips([code(f"A{n}", "subclass", 0.9) for n in range(100)])


def drawn(codes: list[dict[str, Any]]) -> AppTest:
    script = f"from patclass.ui.views.codes import draw_codes\ndraw_codes({codes!r}, 'p')"
    return AppTest.from_string(script, default_timeout=120).run()


def test_the_slider_decides_how_precise_the_codes_are():
    app = drawn(CODES)
    assert app.caption[0].value == (
        "2 codes: the main ones, and additional ones of which on validation patents at least 80 % "
        "were right."
    )
    app.slider[0].set_value(25).run()
    assert not app.exception
    assert app.caption[0].value.startswith("4 codes: ")


def test_without_precisions_the_slider_is_by_probability():
    app = drawn([code | {"precision": None} for code in CODES])
    assert app.caption[0].value == (
        "2 codes: the main ones, and additional ones with a probability of at least 80 %."
    )
    app.slider[0].set_value(50).run()
    assert not app.exception
    assert app.caption[0].value.startswith("4 codes: ")


def test_nothing_is_drawn_for_an_answer_without_codes():
    app = drawn([])
    assert not app.subheader
    assert not app.slider
