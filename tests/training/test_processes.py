"""Several processes of one run: the same weights as one, and only the first one writes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from helpers import tiny_run, tiny_settings, tiny_train, wait_until
from patclass.core.errors import TrainingError
from patclass.training.checkpoint import Progress
from patclass.training.loop import Fit, OtherRunError
from patclass.training.processes import Processes, joined
from patclass.training.run import work_folder
from tiny_parts import weights

LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "patclass")
FLAGS = {
    "batch-tokens": 400, "max-tokens": 64, "learning-rate": 5e-3, "device": "cpu", "epochs": 3,
    "finest": "subclass", "dropout": 0, "checkpoint-steps": 3,
}  # fmt: skip


def launch(base: Path, data: Path, output: Path, *more: str) -> "subprocess.Popen[str]":
    settings = {"base": base, "data": data, "output": output, **FLAGS}
    flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    command = ["train", "--allow-weak", "--no-mixed-precision", *flags, *more]
    return subprocess.Popen(
        [sys.executable, *LAUNCH, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finished(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def test_two_processes_reach_the_weights_of_one(tiny_bert: Path, patents: Path, tmp_path: Path):
    upper = {"lora_layers": 1, "targets": "all-linear"}
    output = finished(
        launch(tiny_bert, patents, tmp_path / "two", "--lora-layers", "1", "--targets=all-linear")
    )
    assert output.count("saved and verified in a fresh process") == 1
    assert output.count("epoch 3/3, section") == 1
    assert "processes: 2, each computes a share of every batch" in output
    tiny_run(tiny_bert, patents, tmp_path / "one", dropout=0.0, **upper)
    found, expected = weights(tmp_path / "two"), weights(tmp_path / "one")
    # Sums in another order: AdamW makes steps of the same size of gradients that are almost zero.
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-2)
    assert float((found - expected).norm() / expected.norm()) < 1e-3


@pytest.mark.full
def test_a_killed_run_of_two_processes_is_resumed_bit_by_bit(
    tiny_llama: Path, patents: Path, tmp_path: Path
):
    more = ("--dropout", "0.2")
    finished(launch(tiny_llama, patents, tmp_path / "whole", *more))
    process = launch(tiny_llama, patents, tmp_path / "killed", *more)
    folder = work_folder(tmp_path / "killed")
    wait_until(lambda: any(folder.glob("checkpoint-*")), 300)
    time.sleep(0.1)
    launcher = psutil.Process(process.pid)
    for each in (*launcher.children(recursive=True), launcher):
        each.kill()
    process.communicate()
    assert not (tmp_path / "killed").exists()
    finished(launch(tiny_llama, patents, tmp_path / "killed", *more, "--resume"))
    assert weights(tmp_path / "killed").equal(weights(tmp_path / "whole"))


def test_another_number_of_processes_cannot_resume(
    tiny_bert: Path, patents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_finish_epoch", crash)
        with pytest.raises(Crash):
            tiny_run(tiny_bert, patents, tmp_path / "model", checkpoint_steps=2)
    monkeypatch.setattr(
        "patclass.training.loop.read_progress",
        lambda checkpoint: Progress(
            run=Progress.model_validate_json((checkpoint / "progress.json").read_text()).run,
            processes=2,
        ),
    )
    settings = tiny_settings(tiny_bert, patents, tmp_path / "model", checkpoint_steps=2)
    with pytest.raises(OtherRunError, match="a run of 2 processes, and this is one of 1"):
        tiny_train(settings, resume=True)


def test_shares_are_all_of_a_batch():
    batch = [1, 2, 3, 4, 5]
    shares = [Processes(rank, 3).share(batch) for rank in range(3)]
    assert shares == [[1, 4], [2, 5], [3]]
    assert Processes(2, 3).share([1, 2]) == []
    assert Processes().share(batch) == batch


def test_one_process_needs_no_group(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as alone:
        assert (alone.first, alone.count) == (True, 1)
        alone.wait()
        assert alone.sum_gradients([], 2.5) == 2.5


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WORLD_SIZE": "2", "RANK": "0"}, "2 processes were launched, but they do not find"),
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE 'many'"),
    ],
)
def test_a_wrong_environment_is_named(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match=said), joined("cpu"):
        pass
