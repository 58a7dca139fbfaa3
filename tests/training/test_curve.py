import json
from pathlib import Path

from patclass.training.curve import Curve


def test_appends_json_lines(tmp_path: Path):
    curve = Curve(tmp_path / "curve.jsonl")
    curve.add(step=1, loss=2.0)
    curve.add(step=1, epoch=1)
    lines = (tmp_path / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "loss": 2.0},
        {"step": 1, "epoch": 1},
    ]


def test_resuming_forgets_what_came_after_the_checkpoint_and_a_torn_line(tmp_path: Path):
    path = tmp_path / "curve.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    Curve(path, resume_at=2).add(step=3, again=True)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3, "again": true}\n'


def test_a_new_run_starts_a_new_curve(tmp_path: Path):
    (tmp_path / "curve.jsonl").write_text('{"step": 1}\n')
    Curve(tmp_path / "curve.jsonl")
    assert (tmp_path / "curve.jsonl").read_text() == ""
