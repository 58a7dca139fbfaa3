"""Classification into a folder, by the command line."""

from pathlib import Path

import pytest

from helpers import Cli
from scale_jobs import ids_of, write_input


def test_a_folder_of_files_becomes_a_folder_of_answers(tmp_path: Path, bundle: Path, cli: Cli):
    ids = write_input(tmp_path / "in")
    flags = ("--model", bundle, "--device", "cpu", "--workers", 1)
    outcome = cli("classify", tmp_path / "in", "-o", tmp_path / "out", *flags)
    assert outcome.code == 0
    assert outcome.out.endswith("out: 370 rows in 8 parts\n")
    assert "b.csv: read as ','" in outcome.err
    assert ids_of(tmp_path / "out") == ids
    again = cli("classify", tmp_path / "in", "-o", tmp_path / "out", *flags)
    assert again.code == 2
    assert "8 of 8 parts of it done; go on with --resume" in again.err


@pytest.mark.parametrize("flag", [("--workers", 2), ("--resume",), ("--engine", "ray")])
def test_flags_of_a_folder_are_refused_for_a_single_file(
    tmp_path: Path, bundle: Path, cli: Cli, flag: tuple
):
    write_input(tmp_path / "in")
    outcome = cli("classify", tmp_path / "in" / "b.csv", "-o", tmp_path / "out.csv", *flag)
    assert outcome.code == 2
    assert "give -o a name without a suffix" in outcome.err


def test_a_folder_cannot_become_a_single_file(tmp_path: Path, cli: Cli):
    outcome = cli("classify", tmp_path, "-o", tmp_path / "out.csv")
    assert outcome.code == 2
    assert "whose answers are one as well" in outcome.err


def test_an_address_without_ray_is_refused(tmp_path: Path, bundle: Path, cli: Cli):
    write_input(tmp_path / "in")
    flags = ("--model", bundle, "--address", "auto")
    outcome = cli("classify", tmp_path / "in", "-o", tmp_path / "out", *flags)
    assert outcome.code == 2
    assert "use it with --engine ray" in outcome.err or "--address auto" in outcome.err
