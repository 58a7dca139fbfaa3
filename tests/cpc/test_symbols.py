import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patclass.cpc.symbols import LEVELS, Symbol, split_codes

quick = settings(deadline=None, max_examples=150)

GRAMMAR = re.compile(r"[A-HY]([0-9]{2}([A-Z]([0-9]{1,4}(/[0-9]{2,6})?)?)?)?")


@st.composite
def symbols(draw: st.DrawFn) -> tuple[str, int]:
    """A well-formed symbol and its depth."""
    parts = [
        draw(st.sampled_from("ABCDEFGHY")),
        draw(st.from_regex(r"[0-9]{2}", fullmatch=True)),
        draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        draw(st.from_regex(r"[0-9]{1,4}", fullmatch=True)),
        draw(st.from_regex(r"/[0-9]{2,6}", fullmatch=True)),
    ]
    count = draw(st.integers(1, len(parts)))
    return "".join(parts[:count]), min(3, count)


@quick
@given(symbols())
def test_a_symbol_is_parsed_as_written(symbol: tuple[str, int]):
    text, depth = symbol
    assert Symbol.parse(text) == Symbol(text, depth)


@quick
@given(symbols(), st.data())
def test_spacing_and_case_do_not_matter(symbol: tuple[str, int], data: st.DataObject):
    text, _ = symbol
    size = {"min_size": len(text), "max_size": len(text)}
    spaces = data.draw(st.lists(st.sampled_from(["", " ", "\t", "\n"]), **size))
    lower = data.draw(st.lists(st.booleans(), **size))
    varied = "".join(
        space + (char.lower() if small else char)
        for char, space, small in zip(text, spaces, lower, strict=True)
    )
    assert Symbol.parse(varied + " ") == Symbol.parse(text)


@quick
@example("A٦١")
@example("a61ı")
@example("A61ſ")
@given(st.text() | st.text(alphabet="ACHIYZacy0159/ -"))
def test_text_is_a_symbol_if_and_only_if_it_matches_the_syntax(text: str):
    compact = re.sub(r"\s", "", text)
    well_formed = compact.isascii() and GRAMMAR.fullmatch(compact.upper()) is not None
    symbol = Symbol.parse(text)
    assert (symbol is not None) == well_formed
    assert symbol is None or symbol.text == compact.upper()


@pytest.mark.parametrize(
    "garbage",
    ["", " ", "I", "Z01", "A6", "A61-K", "61A", "A61KK", "A61K/00", "A61K31/", "A61K31/0", "AA"],
)
def test_garbage_is_not_a_symbol(garbage: str):
    assert Symbol.parse(garbage) is None


@pytest.mark.parametrize(
    ("text", "cuts"),
    [
        ("A61K 31/00", ["A", "A61", "A61K"]),
        ("y02e10", ["Y", "Y02", "Y02E"]),
        ("H04L", ["H", "H04", "H04L"]),
        ("H04", ["H", "H04", None]),
        ("H", ["H", None, None]),
    ],
)
def test_a_symbol_is_cut_to_a_level_unless_it_is_coarser(text: str, cuts: list[str | None]):
    symbol = Symbol.parse(text)
    assert symbol is not None
    assert [symbol.cut(level) for level in LEVELS] == cuts


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        (None, []),
        ("", []),
        (" ; ,", []),
        ("A61K 31/00", ["A61K 31/00"]),
        ("A61K; G06F|H04L,B01D\nC07", ["A61K", "G06F", "H04L", "B01D", "C07"]),
        ("['A61K 31/00', \"G06F\"]", ["A61K 31/00", "G06F"]),
        (["A61K", " G06F ", ""], ["A61K", "G06F"]),
        ([], []),
    ],
)
def test_a_cell_holds_any_number_of_codes(cell: str | list[object] | None, codes: list[str]):
    assert split_codes(cell) == codes


def test_a_scheme_version_after_a_symbol_is_ignored():
    symbol = Symbol.parse("A61K 31/00 (2006.01)")
    assert symbol is not None
    assert symbol.text == "A61K31/00"
