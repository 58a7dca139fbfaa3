from pathlib import Path

import office_documents as office
from helpers import Cli
from patclass.data.rows import open_table


def test_files_become_a_table_and_what_is_left_out_is_said(cli: Cli, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "week.xml").write_text(office.grant() + office.grant(kind="S1"))
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    target = tmp_path / "out.parquet"
    outcome = cli("convert", tmp_path / "in", "-o", target)
    assert outcome.code == 0
    rejects = tmp_path / "out.rejects.jsonl"
    assert outcome.out == f"{target}: 1 documents, 1 left out ({rejects})\n"
    assert "left out: 1, a design patent" in outcome.err
    assert f"ignored, no patent documents: {tmp_path / 'in' / 'notes.txt'}" in outcome.err
    assert [row.id for row in open_table(target).rows()] == ["US11000001B2"]


def test_only_documents_without_text_fail(cli: Cli, tmp_path: Path):
    (tmp_path / "a.xml").write_text(office.grant(kind="S1"))
    assert cli("convert", tmp_path / "a.xml", "-o", tmp_path / "out.parquet").code == 1


def test_parts_of_other_files_name_the_flag(cli: Cli, tmp_path: Path):
    (tmp_path / "a.xml").write_text(office.grant())
    (tmp_path / "out.parquet.parts").mkdir()
    (tmp_path / "out.parquet.parts" / "state.json").write_text('{"sources": []}')
    target = ("-o", tmp_path / "out.parquet")
    outcome = cli("convert", tmp_path / "a.xml", *target)
    assert outcome.code == 2
    assert "--restart" in outcome.err
    assert cli("convert", tmp_path / "a.xml", *target, "--restart").code == 0
