"""Measuring rates and planning a job, by the command line."""

import json
from pathlib import Path

import pytest

from helpers import Cli


@pytest.fixture
def measured(tmp_path: Path, bundle: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "rates.json"
    outcome = cli("bench", "--model", bundle, "--workers", 1, "-o", file)
    assert outcome.code == 0
    assert "documents/s of a core" in outcome.out
    return file


def test_a_job_is_planned_from_what_was_measured(measured: Path, bundle: Path, cli: Cli):
    flags = ("--documents", "1e6", "--tokens", 900, "--machine", "big=64:3.5", "--machine", "a=4")
    outcome = cli("plan", "--model", bundle, *flags)
    assert outcome.code == 0
    assert "1,000,000 documents of 900 tokens" in outcome.out
    assert [line.split()[0] for line in outcome.out.splitlines()[-2:]] == ["big", "a"]
    found = json.loads(cli("plan", "--rates", measured, *flags, "--format", "json").out)
    assert [need["machine"]["name"] for need in found] == ["big", "a"]
    assert found[0]["low"] <= found[0]["hours"] <= found[0]["high"]
    for wrong, named in (("--deadline", "soon"), ("--machine", "a")):
        refused = cli("plan", "--rates", measured, *flags, wrong, named)
        assert (refused.code, wrong in refused.err) == (2, True)
