"""``patclass predict --number``."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_offices import (
    ABSTRACT,
    SECRETS,
    TITLE,
    FakeOffice,
    exchange_document,
    fake_office,
    ops_biblio,
)
from helpers import Cli
from patclass.cli.predict import _print_found
from patclass.offices.patent import SHOWN_CODES, OfficePatent
from patclass.offices.settings import PREFIX


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeOffice]:
    """Offices whose keys are in the environment."""
    with fake_office() as running:
        for name, value in running.environment(tmp_path / "cache").items():
            monkeypatch.setenv(name, value)
        record = ops_biblio(exchange_document("EP", "1000000", "A1"))
        running.put_epo("docdb/EP.1000000.A1", "biblio", record)
        yield running


def test_a_patent_is_classified_by_its_number(cli: Cli, tree_bundle: Path, office: FakeOffice):
    outcome = cli("predict", "--number", "EP 1 000 000 A1", "--model", tree_bundle)
    assert outcome.code == 0
    head, prediction = outcome.out.split("\n\n", 1)
    assert head == f"EP1000000A1 (EPO)  {TITLE}\nassigned codes: D03C13/00"
    text = cli("predict", f"{TITLE}. {ABSTRACT}", "--model", tree_bundle)
    assert (prediction, outcome.err) == (text.out, text.err)


def test_the_answer_as_json(cli: Cli, tree_bundle: Path, office: FakeOffice):
    flags = ("--format", "json", "--model", tree_bundle)
    outcome = cli("predict", "--number", "EP1000000A1", *flags)
    answer = json.loads(outcome.out)
    assert answer["patent"] == {
        "number": "EP1000000A1",
        "office": "EPO",
        "title": TITLE,
        "abstract": ABSTRACT,
        "codes": ["D03C13/00"],
    }
    assert (
        answer["label"] == json.loads(cli("predict", f"{TITLE}. {ABSTRACT}", *flags).out)["label"]
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("1000000", "error: --number '1000000' is not a publication number"),
        ("EP9999999A1", "error: the EPO has no publication EP9999999A1"),
        ("USD930529S1", "is a design patent"),
    ],
)
def test_numbers_without_an_answer(
    cli: Cli, tree_bundle: Path, office: FakeOffice, number: str, said: str
):
    outcome = cli("predict", "--number", number, "--model", tree_bundle)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert not any(secret in outcome.err for secret in SECRETS)


def test_without_keys_the_error_says_how_to_get_them(
    cli: Cli, tree_bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("EPO_KEY", "EPO_SECRET", "USPTO_KEY"):
        monkeypatch.delenv(PREFIX + name, raising=False)
    outcome = cli("predict", "--number", "EP1000000A1", "--model", tree_bundle)
    assert outcome.code == 2
    assert "set PATCLASS_OFFICES_EPO_KEY and PATCLASS_OFFICES_EPO_SECRET" in outcome.err
    assert "https://developers.epo.org" in outcome.err


def test_text_and_number_exclude_each_other(cli: Cli, tree_bundle: Path):
    outcome = cli("predict", "A loom.", "--number", "EP1000000A1", "--model", tree_bundle)
    assert outcome.code == 2
    assert "TEXT and --number" in outcome.err


def test_many_codes_are_cut(capsys: pytest.CaptureFixture[str]):
    codes = tuple(f"D03C{number}/00" for number in range(SHOWN_CODES + 1))
    _print_found(OfficePatent("EP1A1", "EPO", None, "A.", None, None, codes))
    first, second, _ = capsys.readouterr().out.split("\n", 2)
    assert first == "EP1A1 (EPO)"
    assert second.endswith(f"{codes[SHOWN_CODES - 1]}, …")
