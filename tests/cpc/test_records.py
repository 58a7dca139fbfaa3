"""Records of codes, in the forms of the usual databases."""

import json
from typing import Any

import pytest

from patclass.cpc.symbols import Symbol, read_symbols


def only(cell: object) -> Symbol:
    """The symbol of a cell that is understood as a whole."""
    found = read_symbols(cell)
    assert found.remainder == ()
    (symbol,) = found.symbols
    return symbol


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, True) for value in (True, 1, 1.0, "1", "yes", "Y", "True", "I", "inventive")),
        *((value, False) for value in (False, 0, "0", "no", "N", "false", "A", "additional")),
        *((value, None) for value in (None, "", "nan", float("nan"), "perhaps")),
    ],
)
def test_a_truth_value_is_read_as_its_program_writes_it(value: object, expected: bool | None):
    assert only({"code": "A61K31/00", "inventive": value}).inventive is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        *(({"first": value}, True) for value in (True, 1, "True", "F", "first", "yes")),
        *(({"first": value}, False) for value in (False, 0, "False", "L", "later", "no")),
        *(({"sequence": value}, True) for value in (0, "0", 0.0)),
        *(({"cpc_sequence": value}, False) for value in (1, "1", 3.0)),
        *(({"first": value}, None) for value in (None, "", "perhaps")),
    ],
)
def test_the_position_is_read_likewise(fields: dict[str, object], expected: bool | None):
    assert only({"code": "A61K31/00", **fields}).first is expected


@pytest.mark.parametrize(
    ("stated", "scheme", "inventive"),
    [
        *[("CPC", "CPC", None), ("CPCI", "CPC", True), ("CPCA", "CPC", False)],
        *[("cpc", "CPC", None), ("IPC", "IPC", None), ("IPCR", "IPC", None), ("FI", "IPC", None)],
    ],
)
def test_the_scheme_of_a_record_is_kept(stated: str, scheme: str, inventive: bool | None):
    symbol = only({"code": "A61K31/00", "scheme": stated})
    assert (symbol.scheme, symbol.inventive) == (scheme, inventive)


@pytest.mark.parametrize("stated", ["USPC", "UC", "Locarno", "F-term", "ECLA", "DEKLA"])
def test_a_code_of_another_scheme_is_not_understood(stated: str):
    found = read_symbols([{"code": "D14", "scheme": stated}])
    assert (found.symbols, found.remainder) == ((), (f"D14 ({stated})",))


@pytest.mark.parametrize(
    "record",
    [
        {"cpc_group": "A61K31/00"},
        {"cpc_code": "A61K31/00"},
        {"Code": "A61K31/00"},
        {"code": b"A61K31/00"},
        {"section": "A", "class": "61", "subclass": "K", "main-group": "31", "subgroup": "00"},
        {"cpc_section": "A", "cpc_class": "A61", "cpc_subclass": "A61K", "cpc_group": "A61K31/00"},
        {"section": "A", "class": "61", "subclass": "K", "group": "31/00"},
        {"section": "A", "class": 61.0, "subclass": "K", "main_group": 31.0, "subgroup": 0.0},
        {"section": "A", "class": "61", "subclass": "K", "main_group": "31"},
        {"cpc_subclass": "A61K", "cpc_main_group": "A61K31/00", "cpc_subgroup": None},
        {"cpc_subclass": "A61K", "cpc_subgroup": "A61K31/00"},
        {"classifications": [{"symbol": "A61K31/00"}]},
        {"list": [{"element": {"code": "A61K31/00"}}]},
        {"list": [{"element": "A61K31/00"}]},
    ],
)
def test_a_record_names_its_code_in_any_usual_way(record: dict[str, Any]):
    assert only(record).text == "A61K31/00"
    assert only([record]).text == "A61K31/00"
    assert only(str(record)).text == "A61K31/00"


@pytest.mark.parametrize(
    ("group", "subgroup", "code"),
    [
        *[("31", "7036", "A61K31/7036"), (31, 4, "A61K31/04"), ("31/00", "7036", "A61K31/7036")],
        *[("A61K31/00", "A61K31/7036", "A61K31/7036"), ("2300", None, "A61K2300/00")],
        *[(None, "04", "A61K"), ("31/04", None, "A61K31/04")],
    ],
)
def test_a_group_has_its_parts_or_is_whole(group: object, subgroup: object, code: str):
    parts = {"section": "A", "class": "61", "subclass": "K"}
    assert only(parts | {"main_group": group, "subgroup": subgroup}).text == code


@pytest.mark.parametrize("record", [{"list": []}, {"list": [{"element": None}]}, {"codes": None}])
def test_a_list_without_records_is_an_empty_cell(record: dict[str, object]):
    assert read_symbols(record) == read_symbols(None)


def test_what_the_code_itself_says_is_kept():
    symbol = only(json.dumps({"code": "A61K31/00 (2006.01) I"}))
    assert (symbol.inventive, symbol.version) == (True, "2006.01")


@pytest.mark.parametrize("record", [{}, {"code": None}, {"name": "x"}, {"class": "61"}])
def test_a_record_without_a_code_is_not_understood(record: dict[str, object]):
    found = read_symbols([record])
    assert found.symbols == ()
    assert found.remainder
