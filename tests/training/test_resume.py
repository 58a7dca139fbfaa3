"""Interruptions of every kind: kill -9 and resume, Ctrl-C, and runs that must stop."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file

from helpers import Cli, Outcome, tiny_run, tiny_settings, tiny_train, verified_here, wait_until
from patclass.bundle import read_bundle
from patclass.core.errors import TrainingError
from patclass.evaluation.metrics import Metrics
from patclass.model.network import PatentClassifier
from patclass.training import loop as loop_module
from patclass.training.loop import Fit
from patclass.training.run import work_folder

FLAGS = {"epochs": 4, "checkpoint_steps": 3}
# What else decides the order and the weights of rows, and which epoch is the best.
DRAWN = {"field_dropout": 0.5, "balance": 0.5, "best_by": "macro_f1"}


def steps_done(output: Path) -> int:
    curve = work_folder(output) / "curve.jsonl"
    lines = curve.read_text().splitlines() if curve.exists() else []
    return max((json.loads(line)["step"] for line in lines[:-1]), default=0)


def command(base: Path, data: Path, output: Path, epochs: int = 4) -> list[str]:
    """The command line of a run with the settings of ``tiny_settings``."""
    settings = {
        "base": base, "data": data, "output": output, "batch-tokens": 400, "max-tokens": 64,
        "learning-rate": 5e-3, "device": "cpu", "epochs": epochs, "checkpoint-steps": 3,
        "finest": "subclass",
    }  # fmt: skip
    flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return ["train", "--allow-weak", "--no-mixed-precision", *flags]


def start(base: Path, data: Path, output: Path, epochs: int = 4) -> "subprocess.Popen[str]":
    """A run in a separate process."""
    return subprocess.Popen(
        [sys.executable, "-m", "patclass", *command(base, data, output, epochs)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_after(process: "subprocess.Popen[str]", output: Path, steps: int, how: int) -> None:
    def done() -> bool:
        assert process.poll() is None, process.stderr and process.stderr.read()
        return steps_done(output) >= steps

    wait_until(done, 300)
    os.kill(process.pid, how)


def weights(bundle: Path) -> dict[str, bytes]:
    files = ("head.safetensors", "adapter/adapter_model.safetensors")
    return {
        name: tensor.numpy().tobytes()
        for file in files
        for name, tensor in load_file(bundle / file).items()
    }


class Crash(BaseException):
    """Simulates the end of the process: nothing catches it."""


def crash_after(steps: int, base: Path, data: Path, output: Path, **more: object) -> None:
    """A run that ends in the middle of a step."""
    honest, done = Fit._step, count()

    def step(self: Fit, batch: list[int], bar: object) -> None:
        if next(done) == steps:
            raise Crash
        honest(self, batch, bar)

    with patch.object(Fit, "_step", step), pytest.raises(Crash):
        tiny_run(base, data, output, **FLAGS, **more)


def kill_9(base: Path, data: Path, output: Path, **more: object) -> None:
    assert not more, "the command line has none of them"
    process = start(base, data, output)
    stop_after(process, output, 10, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def crash(base: Path, data: Path, output: Path, **more: object) -> None:
    crash_after(10, base, data, output, **more)


@pytest.mark.parametrize(
    ("base", "stop", "more"),
    [
        ("tiny_bert", kill_9, {}),
        ("tiny_llama", crash, DRAWN),
        pytest.param("tiny_llama", kill_9, {}, marks=pytest.mark.full),
    ],
)
def test_a_resumed_run_ends_with_the_same_weights(
    base: str,
    stop: Callable[..., None],
    more: dict[str, object],
    patents: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
):
    tiny_base = request.getfixturevalue(base)
    tiny_run(tiny_base, patents, tmp_path / "whole", **FLAGS, **more)
    stop(tiny_base, patents, tmp_path / "killed", **more)
    assert not (tmp_path / "killed").exists()
    settings = tiny_settings(tiny_base, patents, tmp_path / "killed", **FLAGS, **more)
    result = tiny_train(settings, resume=True)
    assert result.bundle is not None
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    curves = [
        [
            {k: v for k, v in json.loads(line).items() if k != "tokens_per_second"}
            for line in (tmp_path / name / "curve.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "killed")
    ]
    assert curves[0] == curves[1]


def test_an_unfinished_run_must_be_resumed_or_restarted_explicitly(
    tiny_bert: Path, patents: Path, tmp_path: Path
):
    output = tmp_path / "model"
    crash_after(4, tiny_bert, patents, output)
    with pytest.raises(TrainingError, match=r"with resume, .* with restart"):
        tiny_run(tiny_bert, patents, output, **FLAGS)
    other = tiny_settings(tiny_bert, patents, output, r=4, **FLAGS)
    with pytest.raises(TrainingError, match="other settings"):
        tiny_train(other, resume=True)
    same = tiny_settings(tiny_bert, patents, output, **FLAGS)
    assert tiny_train(same, restart=True).bundle == output


def stop_process(how: int, base: Path, data: Path, output: Path, cli: Cli) -> Outcome:
    """A run in a separate process, which is sent a signal."""
    process = start(base, data, output, epochs=400)
    stop_after(process, output, 20, how)
    _, errors = process.communicate(timeout=600)
    return Outcome(process.returncode, errors)


def stop_here(how: int, base: Path, data: Path, output: Path, cli: Cli) -> Outcome:
    """A run in this process, which gets a signal in the middle of an epoch."""
    honest, done = Fit._step, count()

    def step(self: Fit, batch: list[int], bar: object) -> None:
        if next(done) == 20:
            signal.raise_signal(how)
        honest(self, batch, bar)

    with patch.object(Fit, "_step", step), verified_here():
        return cli(*command(base, data, output, epochs=400))


@pytest.mark.parametrize("stop", [stop_here, pytest.param(stop_process, marks=pytest.mark.full)])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_best_epoch_as_a_valid_bundle(
    stop: Callable[..., Outcome], how: int, tiny_bert: Path, patents: Path, tmp_path: Path, cli: Cli
):
    output = tmp_path / "model"
    outcome = stop(how, tiny_bert, patents, output, cli)
    assert outcome.code == 130
    assert "interrupted: epoch" in outcome.err
    assert "Traceback" not in outcome.err
    bundle = read_bundle(output)
    assert bundle.description.interrupted
    bundle.verify("cpu")
    assert "interrupted" in (output / "README.md").read_text()


def test_ctrl_c_in_the_first_epoch_leaves_no_bundle(
    tiny_bert: Path, patents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(self: Fit, batch: list[int], bar: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fit, "_step", interrupt)
    result = tiny_run(tiny_bert, patents, tmp_path / "model")
    assert result.bundle is None
    assert not (tmp_path / "model").exists()


def test_a_nan_loss_stops_the_run(tiny_bert: Path, patents: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match=r"the loss is nan at step \d+.*learning_rate"):
        tiny_run(tiny_bert, patents, tmp_path / "model", learning_rate=1e36)
    assert not (tmp_path / "model").exists()


def test_an_adapter_that_does_not_change_stops_the_run(
    tiny_bert: Path, patents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As if checkpointing or a detached input had cut off the gradients."""
    attached = PatentClassifier.embed
    monkeypatch.setattr(
        PatentClassifier, "embed", lambda self, batch: attached(self, batch).detach()
    )
    with pytest.raises(TrainingError, match="no adapter weight has moved after the first step"):
        tiny_run(tiny_bert, patents, tmp_path / "model")


@pytest.mark.parametrize(("best_by", "best"), [("accuracy", 1), ("macro_f1", 2)])
def test_the_best_epoch_is_saved_and_not_the_last(
    tiny_bert: Path,
    patents: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    best_by: str,
    best: int,
):
    honest = Fit._validate
    figures = iter([(0.9, 0.3), (0.5, 0.8), (0.9, 0.4)])
    heads: list[torch.Tensor] = []

    def validate(self: Fit) -> dict[str, Metrics]:
        accuracy, macro_f1 = next(figures)
        update = {"accuracy": accuracy, "macro_f1": macro_f1, "loss": 1.0}
        levels = {level: m.model_copy(update=update) for level, m in honest(self).items()}
        assert list(levels) == ["section"]
        heads.append(self.model.head.weight.detach().clone())
        return levels

    monkeypatch.setattr(Fit, "_validate", validate)
    result = tiny_run(tiny_bert, patents, tmp_path / "model", best_by=best_by)
    assert result.fit.best_epoch == best
    saved = load_file(tmp_path / "model" / "head.safetensors")["weight"]
    assert saved.equal(heads[best - 1])


def test_runs_are_reproducible_by_seed(tiny_bert: Path, patents: Path, tmp_path: Path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_run(tiny_bert, patents, tmp_path / name, epochs=1, seed=seed)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")


def test_slow_steps_are_checkpointed_by_time(
    tiny_bert: Path, patents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    saved: list[int] = []
    honest = loop_module.save_checkpoint

    def save(folder, model, optimizer, progress):
        saved.append(progress.step)
        honest(folder, model, optimizer, progress)

    monkeypatch.setattr(loop_module, "save_checkpoint", save)
    tiny_run(tiny_bert, patents, tmp_path / "slow", epochs=1)
    whole = list(saved)
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", -1.0)
    tiny_run(tiny_bert, patents, tmp_path / "slower", epochs=1)
    assert len(whole) == 1
    assert saved[len(whole) :] == list(range(1, whole[0] + 1))
