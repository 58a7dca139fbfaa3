import json
from pathlib import Path

import pytest
import torch

from patclass.core.errors import TrainingError
from patclass.model.network import PatentClassifier
from patclass.training.checkpoint import (
    Curve,
    Progress,
    latest_checkpoint,
    read_progress,
    restore,
    save_checkpoint,
)
from tiny_parts import tiny_batch, tiny_classifier


def test_the_curve_is_appended_as_json_lines(tmp_path: Path):
    curve = Curve(tmp_path / "curve.jsonl")
    curve.add(step=1, loss=2.0)
    curve.add(step=1, epoch=1)
    lines = (tmp_path / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "loss": 2.0},
        {"step": 1, "epoch": 1},
    ]


def test_resuming_discards_lines_after_the_checkpoint_and_a_partial_line(tmp_path: Path):
    path = tmp_path / "curve.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    Curve(path, resume_at=2).add(step=3, again=True)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3, "again": true}\n'


def test_a_new_run_starts_a_new_curve(tmp_path: Path):
    (tmp_path / "curve.jsonl").write_text('{"step": 1}\n')
    Curve(tmp_path / "curve.jsonl")
    assert (tmp_path / "curve.jsonl").read_text() == ""


def trained(folder: Path) -> tuple[PatentClassifier, torch.optim.Optimizer]:
    model = tiny_classifier(folder)
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=1e-3)
    model(tiny_batch(folder)).sum().backward()
    optimizer.step()
    return model, optimizer


def test_weights_optimiser_and_random_state_are_restored(tiny_bert: Path, tmp_path: Path):
    model, optimizer = trained(tiny_bert)
    save_checkpoint(tmp_path, model, optimizer, Progress(run="r", step=7, epoch=1))
    expected = torch.rand(3)
    other = tiny_classifier(tiny_bert)
    fresh = torch.optim.AdamW(other.trainable().values(), lr=1e-3)
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    restore(checkpoint, other, fresh)
    assert torch.equal(torch.rand(3), expected)
    assert read_progress(checkpoint) == Progress(run="r", step=7, epoch=1)
    for name, parameter in other.trainable().items():
        original = model.trainable()[name]
        assert torch.equal(parameter, original)
        for key, value in optimizer.state[original].items():
            assert torch.equal(fresh.state[parameter][key], value)


def test_only_the_newest_complete_checkpoint_is_used(tiny_bert: Path, tmp_path: Path):
    model, optimizer = trained(tiny_bert)
    for step in (9, 10):
        save_checkpoint(tmp_path, model, optimizer, Progress(run="r", step=step))
    (tmp_path / ".partial-checkpoint-00000011").mkdir()
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-00000010"]
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint-00000010"


def test_a_damaged_checkpoint_is_an_error_that_says_how_to_restart(tmp_path: Path):
    (tmp_path / "progress.json").write_text('{"run": 1')
    with pytest.raises(TrainingError, match="start again with restart"):
        read_progress(tmp_path)


def test_a_checkpoint_of_another_model_is_refused(tiny_bert: Path, tmp_path: Path):
    model, optimizer = trained(tiny_bert)
    save_checkpoint(tmp_path, model, optimizer, Progress(run="r", step=1))
    other = tiny_classifier(tiny_bert, targets="all-linear")
    with pytest.raises(TrainingError, match="does not fit this run"):
        restore(tmp_path / "checkpoint-00000001", other, torch.optim.AdamW(other.parameters()))


def test_epochs_are_compared_by_accuracy_then_loss():
    progress = Progress(run="r", best_epoch=1, best_score=0.8, best_loss=0.5)
    assert Progress(run="r").is_beaten_by(0.0, 9.0)
    assert progress.is_beaten_by(0.81, 9.0)
    assert progress.is_beaten_by(0.8, 0.4)
    assert not progress.is_beaten_by(0.8, 0.5)
    assert not progress.is_beaten_by(0.79, 0.1)
