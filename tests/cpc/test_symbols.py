import json
import re
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patclass.cpc.symbols import LEVELS, Symbol, code_path, read_symbols

quick = settings(deadline=None, max_examples=150)


@st.composite
def parts(draw: st.DrawFn) -> list[str]:
    """Section, class, subclass, main group and subgroup, as far as a symbol goes."""
    group = draw(st.integers(1, 999))  # of 2000 series without a slash only the subclass is certain
    found = [
        draw(st.sampled_from("ABCDEFGHY")),
        draw(st.from_regex(r"[0-9]{2}", fullmatch=True)),
        draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        str(group),
        draw(st.from_regex(r"[0-9]{2,6}", fullmatch=True)),
    ]
    return found[: draw(st.integers(1, len(found)))]


def plain(parts: list[str]) -> str:
    return "".join(parts[:4]) + "".join(f"/{subgroup}" for subgroup in parts[4:])


def code_of(parts: list[str]) -> str:
    """The code as it is written everywhere: a main group with ``/00``."""
    if len(parts) < 4 or "".join(parts[4:]).strip("0"):
        return plain(parts)
    return plain([*parts[:4], "00"])


def texts(cell: object) -> list[str]:
    """The texts of a cell that is understood as a whole."""
    found = read_symbols(cell)
    assert found.remainder == ()
    return [symbol.text for symbol in found.symbols]


@quick
@given(parts())
def test_a_symbol_is_parsed_as_written(parts: list[str]):
    assert Symbol.parse(plain(parts)) == Symbol(code_of(parts))


@quick
@given(parts(), st.data())
def test_a_path_has_a_code_for_each_level(parts: list[str], data: st.DataObject):
    code = code_of(parts)
    path = code_path(code)
    assert path[:3] == tuple("".join(parts[:depth]) for depth in range(1, min(3, len(parts)) + 1))
    assert path[-1] == code
    assert len(path) == (4 if code.endswith("/00") else len(parts))
    assert all(code_path(above) == path[:depth] for depth, above in enumerate(path, 1))
    symbol = Symbol.parse(data.draw(st.sampled_from([code, plain(parts), code.lower()])))
    assert symbol is not None
    assert (symbol.path, symbol.depth) == (path, len(path))
    assert [symbol.cut(level) for level in LEVELS] == [*path, *[None] * (5 - len(path))]
    assert [above for above in path if symbol.is_within(above)] == list(path)


@quick
@given(parts(), parts(), st.integers(1, 5), st.booleans())
def test_a_symbol_is_within_another_if_it_continues_its_path(
    one: list[str], other: list[str], depth: int, shared: bool
):
    a, b = Symbol(code_of(one)), Symbol(code_of(one[:depth] if shared else other))
    assert a.is_within(b.text) == (b.path == a.path[: len(b.path)])
    assert (a.is_within(b.text) and b.is_within(a.text)) == (a == b)


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("A61K31/7036", ("A", "A61", "A61K", "A61K31/00", "A61K31/7036")),
        ("A61K31/00", ("A", "A61", "A61K", "A61K31/00")),
        ("A61K31", ("A", "A61", "A61K", "A61K31/00")),
        ("A61K2300/00", ("A", "A61", "A61K", "A61K2300/00")),
        ("B29K2105/04", ("B", "B29", "B29K", "B29K2105/00", "B29K2105/04")),
        ("Y02E10/50", ("Y", "Y02", "Y02E", "Y02E10/00", "Y02E10/50")),
        ("A61K", ("A", "A61", "A61K")),
        ("A", ("A",)),
        ("", ()),
    ],
)
def test_the_path_runs_from_the_section_to_the_code(code: str, path: tuple[str, ...]):
    assert code_path(code) == path


@pytest.mark.parametrize(
    ("text", "above", "within"),
    [
        ("A61K31/7036", "A61K31/00", True),
        ("A61K31/7036", "A61K31", True),
        ("A61K31/7036", "A61K3/00", False),
        ("A61K31/7036", "A61K31/70", False),
        ("A61K31/00", "A61K31/7036", False),
        ("A61K310/00", "A61K31/00", False),
        ("A61K31/00", "", False),
    ],
)
def test_a_main_group_contains_its_subgroups_alone(text: str, above: str, within: bool):
    assert Symbol(text).is_within(above) is within


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("B29K2105", "B29K"),
        ("H01L 2102", "H01L"),
        ("A61K 0/00", "A61K"),
        ("A61K0031", "A61K31/00"),
        ("A61K31/0000", "A61K31/00"),
    ],
)
def test_a_group_that_is_not_certain_is_left_out(cell: str, text: str):
    assert texts(cell) == [text]


@quick
@given(parts(), st.data())
def test_case_and_spaces_between_the_parts_do_not_matter(parts: list[str], data: st.DataObject):
    space = data.draw(st.sampled_from(["", " ", "\u00a0"]))
    if len(parts) == 5:
        varied = f"{space.join(parts[:3])}{space * 4}{parts[3]}{space}/{space}{parts[4]}"
    else:
        varied = plain(parts)
    lower = data.draw(st.lists(st.booleans(), min_size=len(varied), max_size=len(varied)))
    cased = "".join(c.lower() if low else c for c, low in zip(varied, lower, strict=True))
    assert Symbol.parse(f" {cased} ") == Symbol.parse(plain(parts))


# Ways to write a full symbol, by their users.
SPELLINGS: dict[str, Callable[[list[str]], str]] = {
    "WIPO ST.8": lambda p: f"{''.join(p[:3])}{int(p[3]):04}{p[4]:0<6}",
    "fixed columns of the IPC": lambda p: (
        f"{''.join(p[:3])}{p[3]:>4}/{p[4]:<6}  20060101AFI20051220RMUS"
    ),
    "scheme version": lambda p: f"{plain(p)} (2006.01)",
    "version and value": lambda p: f"{plain(p)} (2006.01)I",
    "date": lambda p: f"{''.join(p[:3])} {p[3]}/{p[4]}\u00a0(20130101)",
    "offices": lambda p: f"{plain(p)} (EP,US)",
    "Derwent": lambda p: f"{''.join(p[:3])}-{int(p[3]):03}/{p[4]}",
    "Questel": lambda p: (
        f"{''.join(p[:3])}-{int(p[3]):03}/{p[4][:4]}" + (f"/{p[4][4:]}" if p[4][4:] else "")
    ),
    "FI facet": lambda p: f"{plain(p)}@Z",
    "FI subdivision": lambda p: f"{plain(p)},101@A",
    "editorial": lambda p: f"Int. Cl. {plain(p)}",
    "full-width": lambda p: "".join(chr(ord(c) + 0xFEE0) for c in plain(p)),
}


@st.composite
def full_parts(draw: st.DrawFn) -> list[str]:
    """All parts; zeros that some spellings append can be told from those of the subgroup."""
    return [
        draw(st.sampled_from("ABCDEFGHY")),
        f"{draw(st.integers(0, 99)):02}",
        draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        str(draw(st.integers(1, 1999))),
        draw(st.just("00") | st.from_regex(r"[0-9]{1,5}[1-9]", fullmatch=True)),
    ]


@quick
@given(full_parts(), st.sampled_from(sorted(SPELLINGS)))
def test_usual_spellings_are_the_same_symbol(parts: list[str], name: str):
    (symbol,) = read_symbols(SPELLINGS[name](parts)).symbols
    assert symbol.text == plain(parts)
    assert texts(SPELLINGS[name](parts)) == [symbol.text]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(full_parts(), st.sampled_from(sorted(SPELLINGS))), max_size=6),
    st.sampled_from(["; ", ";;", "|", ", ", " ", "\n", "' , '"]),
)
def test_a_list_keeps_every_symbol_in_order(symbols: list[tuple[list[str], str]], separator: str):
    written = separator.join(SPELLINGS[name](parts) for parts, name in symbols)
    assert texts(written) == [plain(parts) for parts, _ in symbols]


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        (None, []),
        (float("nan"), []),
        ("", []),
        (" ; ,", []),
        ("nan", []),
        ("-", []),
        ("A61K; G06F|H04L,B01D\nC07", ["A61K", "G06F", "H04L", "B01D", "C07"]),
        ("['A61K 31/00', \"G06F\"]", ["A61K31/00", "G06F"]),
        (["A61K", " G06F ", ""], ["A61K", "G06F"]),
        ([], []),
        ("A, B; H", ["A", "B", "H"]),
        ("A61 B65 A61K", ["A61", "B65", "A61K"]),
        ("A61K31 A61K 9", ["A61K31/00", "A61K9/00"]),
        ("A01B1/00 a01b 3/02", ["A01B1/00", "A01B3/02"]),
        ("CPC: A61K31/00 IPC: G06F 3/00", ["A61K31/00", "G06F3/00"]),
        (b"A61K 31/00", ["A61K31/00"]),
        ("C25D21/12@C \nC25D7/12 \nC25D21/12@N", ["C25D21/12", "C25D7/12", "C25D21/12"]),
    ],
)
def test_a_cell_holds_any_number_of_symbols(cell: object, codes: list[str]):
    assert texts(cell) == codes


@pytest.mark.parametrize(
    ("joined", "text"),
    [("H04L125608", "H04L"), ("A42B1220000", "A42B"), ("A61K0031000000", "A61K31/00")],
)
def test_of_joined_digits_only_what_is_certain_is_read(joined: str, text: str):
    assert texts(joined) == [text]


@pytest.mark.parametrize(
    ("cell", "first", "inventive", "version"),
    [
        ("A61K  31/00        20060101AFI20051220RMUS", True, True, "2006.01"),
        ("A61K  31/00        20130101 LA20130101BHEP", False, False, "2013.01"),
        ("A61K 31/00 20060101AFI", True, True, "2006.01"),
        ("A61K 31/00 (2006.01) N", None, False, "2006.01"),
        ("A61K 31/00 [2013.01]", None, None, "2013.01"),
        ("A61K 31/00 (EP,US)", None, None, None),
        ({"code": "A61K31/00", "first": True, "inventive": False, "tree": []}, True, False, None),
        ({"symbol": "A61K31/00", "sequence": 0, "value": "I"}, True, True, None),
        (
            {"cpc_subgroup_id": "A61K31/00", "cpc_sequence": "3", "cpc_category": "additional"},
            *(False, False, None),
        ),
    ],
)
def test_position_value_and_version_are_kept(
    cell: object, first: bool | None, inventive: bool | None, version: str | None
):
    (symbol,) = read_symbols(cell).symbols
    assert symbol.text == "A61K31/00"
    assert (symbol.first, symbol.inventive, symbol.version) == (first, inventive, version)


@pytest.mark.parametrize("write", [json.dumps, repr])
def test_records_are_read_from_text_too(write: Callable[[object], str]):
    records = [{"code": "A61K31/00", "first": True}, {"code": "C07D", "first": False}]
    assert read_symbols(write(records)) == read_symbols(records)
    assert [symbol.first for symbol in read_symbols(write(records)).symbols] == [True, False]


@pytest.mark.parametrize(
    ("remark", "first", "inventive", "version"),
    [
        ("(I)", None, True, None),
        ("[A]", None, False, None),
        ("[F]", True, None, None),
        ("(2013.01) [L]", False, None, "2013.01"),
        ("(INV)", None, True, None),
        ("(ADD)", None, False, None),
        ("[I20060101]", None, True, "2006.01"),
        ("[N20060101]", None, False, "2006.01"),
        ("(20060101, A, I, R, EP, 20200101, B, H)", None, True, "2006.01"),
        ("(20060101, A, F, I, B, H, US, 20200101)", True, True, "2006.01"),
        ("(EP US)", None, None, None),
        ("(2013.01,EP,US)", None, None, "2013.01"),
        ("        N", None, None, None),
    ],
)
def test_remarks_on_a_symbol_are_kept(
    remark: str, first: bool | None, inventive: bool | None, version: str | None
):
    found = read_symbols(f"A61K31/00 {remark}; A61P3/00")
    assert found.remainder == ()
    assert [symbol.text for symbol in found.symbols] == ["A61K31/00", "A61P3/00"]
    symbol = found.symbols[0]
    assert (symbol.first, symbol.inventive, symbol.version) == (first, inventive, version)


@pytest.mark.parametrize("remark", ["(XYZ)", "(B)", "(2006)", "[I2006]", "(A, B)", "(see below)"])
def test_other_remarks_are_not_understood(remark: str):
    assert read_symbols(f"A61K31/00 {remark}").remainder


def test_a_heading_holds_for_the_symbols_after_it():
    found = read_symbols("INV. A61K31/00 A61K9/20\nADD. A61P35/00 (2006.01) I; A61P3/00")
    assert found.remainder == ()
    assert [symbol.inventive for symbol in found.symbols] == [True, True, True, False]


@pytest.mark.parametrize(
    "written",
    [
        *("CPC-A61K-0031/00", "A61K_31_00", "A61K/31/00", "A61K31/0", "(A61K31/00)", "{A61K31/00}"),
        *("A61K&nbsp;31/00", "<p>A61K31/00</p>", "b'A61K31/00'", "A61K&#160;31/00", "A61K31/00;-"),
    ],
)
def test_other_spellings_are_the_same_symbol(written: str):
    assert texts(written) == ["A61K31/00"]


@pytest.mark.parametrize(
    "separator",
    [
        *(
            "、",
            "・",
            "･",
            "&",
            "&amp;",
            "+",
            "//",
            "<br>",
            "<br />",
            "^",
            "~",
            ":",
            "；",
            "; nan; ",
        ),
        *("; None, ", " - ", ") (", "'\n '", '", "'),
    ],
)
@pytest.mark.parametrize("space", ["", " "])
def test_a_list_may_be_separated_by_any_usual_mark(separator: str, space: str):
    assert texts(f"A61K31/00{space}{separator}{space}B01J1/00") == ["A61K31/00", "B01J1/00"]


def test_symbols_of_fixed_length_need_no_separator():
    assert texts("A61K0031000000B01J0001000000") == ["A61K31/00", "B01J1/00"]
    assert read_symbols("A61K0031000000B01J").remainder


@pytest.mark.parametrize("cell", ["C12R1:01", "C12R 1: 01", "A61K 31:505"])
def test_a_colon_instead_of_the_slash_is_of_an_indexing_code(cell: str):
    (symbol,) = read_symbols(cell).symbols
    assert symbol.indexing
    assert texts(cell) == [symbol.text]


@pytest.mark.parametrize("cell", ["514/1", "3H130", "14-03", "D14.1", "A61K31/00 424"])
def test_symbols_of_other_schemes_are_not_understood(cell: str):
    assert read_symbols(cell).remainder


def test_an_array_is_read_as_a_list():
    assert texts(np.array(["A61K31/00", "H04L"])) == ["A61K31/00", "H04L"]
    assert texts(np.array("A61K")) == ["A61K"]
    assert texts(np.float32("nan")) == []
    assert texts({"A61K"}) == ["A61K"]
    assert texts('{"A61K31/00","H04L"}') == ["A61K31/00", "H04L"]


def nested(wrap: Callable[[object], object]) -> object:
    """3,000 cells, each of which is within the next."""
    cell: object = "A61K"
    for _ in range(3_000):
        cell = wrap(cell)
    return cell


@pytest.mark.parametrize(
    "wrap", [lambda cell: [cell], lambda cell: {"code": cell}, lambda cell: {"name": cell}]
)
def test_lists_within_lists_are_not_understood(wrap: Callable[[object], object]):
    found = read_symbols(nested(wrap))
    assert found.symbols == ()
    assert found.remainder
    assert texts([[[["A61K"]]]]) == ["A61K"]


def test_the_scheme_is_kept_where_it_is_stated():
    found = read_symbols("A01B; CPC: A61K31/00; Int. Cl. 7: G06F 3/00")
    assert [symbol.scheme for symbol in found.symbols] == [None, "CPC", "IPC"]


@pytest.mark.parametrize(
    ("text", "classifies"),
    [
        ("A61K31/00", True),
        ("A61K1999/00", True),
        ("B29K2105/00", False),
        ("A61K2000/00", False),
        ("C12N2310001000", False),
        ("G06F220304803", False),
        ("H01L2102274", True),
        ("Y02E10/50", False),
        ("Y", False),
        ("A", True),
    ],
)
def test_tags_and_indexing_codes_do_not_classify(text: str, classifies: bool):
    (symbol,) = read_symbols(text).symbols
    assert symbol.classifies is classifies


@pytest.mark.parametrize(
    ("cell", "symbols", "remainder"),
    [
        ("A61K31/00; 424/400", ["A61K31/00"], ["424/400"]),
        ("A61K31/00; see drawing", ["A61K31/00"], ["see", "drawing"]),
        ("A61-K", ["A61"], ["-K"]),
        ("A device with H04L", ["H04L"], ["A", "device", "with"]),
        ("4C076AA11, A61K9/00", ["A61K9/00"], ["4C076AA11"]),
        ({"name": "x"}, [], ["{'name': 'x'}"]),
    ],
)
def test_what_is_not_understood_is_kept(cell: object, symbols: list[str], remainder: list[str]):
    found = read_symbols(cell)
    assert [symbol.text for symbol in found.symbols] == symbols
    assert list(found.remainder) == remainder


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        ("H05K   3/46      B", ["H05K3/46"]),
        ("H05K   3/46      B;H05K   3/46      N", ["H05K3/46", "H05K3/46"]),
        ("H05K   3/46         N", ["H05K3/46"]),
        ("H05K3/46,B", ["H05K3/46"]),
        ("H01L21/02,301,A", ["H01L21/02"]),
        ("H01L21/02,101C", ["H01L21/02"]),
        ("H01L21/02 101C", ["H01L21/02"]),
        ("H01L21/02,101@C", ["H01L21/02"]),
        ("H01L21/02, B 01 D 1/00", ["H01L21/02", "B01D1/00"]),
        ("A61K31/00 (2006.01) A 61 P 3/00", ["A61K31/00", "A61P3/00"]),
        ("A; B; C", ["A", "B", "C"]),
        ("A,B", ["A", "B"]),
        (["A", "B"], ["A", "B"]),
        (["A", "A61K"], ["A", "A61K"]),
    ],
)
def test_a_letter_after_a_symbol_is_no_section(cell: object, codes: list[str]):
    assert texts(cell) == codes


@pytest.mark.parametrize(
    "cell", ["A61K31/00; B", "A61K31/00\nB", "A61K; B", "B; A61K", "A61K31/00 (2013.01) [B]", "A~C"]
)
def test_a_letter_that_says_nothing_known_is_not_understood(cell: str):
    found = read_symbols(cell)
    assert found.remainder
    assert all(symbol.depth > 1 for symbol in found.symbols)


@quick
@example("A٦١")
@example("a61ı")
@example("A61ſ")
@example("[{")
@given(st.text() | st.text(alphabet="ACHIYZacy0159/ -;,([{'\"@"))
def test_every_character_is_read_or_kept(text: str):
    found = read_symbols(text)
    symbol = Symbol.parse(text)
    assert (symbol is not None) == (len(found.symbols) == 1 and not found.remainder)
    for read in found.symbols:
        assert re.fullmatch(r"[A-HY]([0-9]{2}([A-Z]([0-9]{1,4}/[0-9]{2,8})?)?)?", read.text)
    letters = sum(char.isalnum() and not char.isascii() for char in text)
    assert not letters or text.isascii() or found.remainder or is_full_width(text)


def is_full_width(text: str) -> bool:
    return all(char.isascii() or "！" <= char <= "～" for char in text if char.isalnum())


@pytest.mark.parametrize(
    "garbage",
    ["", " ", "I", "Z01", "A6", "A61-K", "61A", "A61KK", "A61K/00", "A61K31/", "A61K31/5", "AA"],
)
def test_garbage_is_not_a_symbol(garbage: str):
    assert Symbol.parse(garbage) is None


def test_several_symbols_are_not_one():
    assert Symbol.parse("A61K; A61P") is None


@pytest.mark.parametrize(
    ("text", "cuts"),
    [
        ("A61K 31/7036", ["A", "A61", "A61K", "A61K31/00", "A61K31/7036"]),
        ("y02e10", ["Y", "Y02", "Y02E", "Y02E10/00", None]),
        ("H04L", ["H", "H04", "H04L", None, None]),
        ("H04", ["H", "H04", None, None, None]),
        ("H", ["H", None, None, None, None]),
    ],
)
def test_a_symbol_is_cut_to_a_level_unless_it_is_coarser(text: str, cuts: list[str | None]):
    symbol = Symbol.parse(text)
    assert symbol is not None
    assert [symbol.cut(level) for level in LEVELS] == cuts


# Cells on which a search could take quadratic time: their repeated part, and where they end.
HOSTILE = [
    *("A61K ", "A", " A", "(", "A61K (EP,", "[{", "A61K31/00", "A61K        ", "0", "A61K31/00,"),
    *(
        "&",
        "&#9",
        "<a",
        "A61K31/00,A",
        "A61K31/00 (A) ",
        "/",
        "INV. ",
        "A61K0031000000",
        "b'",
        "~ ",
    ),
    *(
        "A61K31/00 (A, ",
        "A61K31/00          ",
        "A;",
        "A61K 31/00 (2006.01)",
        "INT. CL. ",
        "A61K 20060101",
        "A61K-000",
        "'",
        "A61K(A,",
    ),
]


@pytest.mark.full
@pytest.mark.parametrize("part", HOSTILE)
def test_the_time_is_linear_in_the_length_of_a_cell(part: str):
    """Eight times the length takes about eight times as long, and not 64 times."""
    seconds = []
    for length in (50_000, 400_000):
        cell, start = part * (length // len(part)), time.perf_counter()
        read_symbols(cell)
        seconds.append(time.perf_counter() - start)
    assert seconds[1] <= 25 * seconds[0] + 0.5
