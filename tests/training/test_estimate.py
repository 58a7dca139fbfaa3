"""What a run is said to need: figures by hand, and that measuring leaves no trace."""

from pathlib import Path

import pytest
import torch

from helpers import tiny_settings, tiny_train
from patclass.model.network import PatentClassifier
from patclass.training import estimate as estimate_module
from patclass.training.estimate import Estimate, estimate
from patclass.training.loop import Fit

UPPER = {"lora_layers": 1, "targets": "all-linear"}


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """The runs that were announced, which a test may look at before they begin."""
    found: list[Fit] = []
    honest = estimate_module.announce

    def announce(fit: Fit, echo: object) -> Estimate:
        found.append(fit)
        return honest(fit, echo)

    monkeypatch.setattr("patclass.training.run.announce", announce)
    return found


def weights(fit: Fit) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in fit.model.trainable().values()])


@pytest.mark.parametrize("more", [{}, UPPER])
def test_measuring_changes_nothing(
    tiny_base: Path, patents: Path, tmp_path: Path, fits: list[Fit], monkeypatch, more: dict
):
    settings = tiny_settings(tiny_base, patents, tmp_path / "with", dropout=0.2, **more)
    tiny_train(settings)
    monkeypatch.setattr("patclass.training.run.announce", lambda fit, echo: fits.append(fit))
    settings = tiny_settings(tiny_base, patents, tmp_path / "without", dropout=0.2, **more)
    tiny_train(settings)
    measured, unmeasured = map(weights, fits)
    assert measured.equal(unmeasured)


@pytest.mark.parametrize("more", [{}, UPPER])
def test_a_run_says_what_it_needs(
    tiny_base: Path, patents: Path, tmp_path: Path, more: dict[str, object]
):
    lines: list[str] = []
    tiny_train(tiny_settings(tiny_base, patents, tmp_path / "model", **more), lines.append)
    (line,) = (line for line in lines if line.startswith("estimate: "))
    assert " seconds for 3 epochs, " in line
    assert line.endswith(" GiB of memory")


def test_without_room_activations_are_computed_twice(
    tiny_base: Path, patents: Path, tmp_path: Path, fits: list[Fit], monkeypatch
):
    monkeypatch.setattr(estimate_module, "_held", lambda fit: 0)
    monkeypatch.setattr(estimate_module, "free_memory", lambda device: 1)
    lines: list[str] = []
    tiny_train(tiny_settings(tiny_base, patents, tmp_path / "model"), lines.append)
    assert fits[0].model.base.is_activation_checkpointing
    assert any(line.startswith("gradient checkpointing: on, as ") for line in lines)
    assert any(line.startswith("warning: 0.0 GiB of memory are there") for line in lines)


def test_activations_that_are_computed_twice_take_less(
    tiny_base: Path, patents: Path, tmp_path: Path, fits: list[Fit]
):
    for number, checkpointing in enumerate((False, True)):
        more = {"gradient_checkpointing": checkpointing, "epochs": 1}
        tiny_train(tiny_settings(tiny_base, patents, tmp_path / f"model{number}", **more))
    kept = []
    for fit in fits:
        fit.model.train()
        with fit.computing():
            kept.append(estimate_module._activations(fit, fit.plan[0][0])[1])
    assert 0 < kept[1] < 0.9 * kept[0]
    assert fits[1].model.base.is_activation_checkpointing


class Affine(PatentClassifier):
    """Keeps 64 bytes of any step, and 40 of every token."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.weight = torch.nn.Parameter(torch.ones(16))


def test_what_a_step_keeps_is_told_by_step_and_by_token():
    model = Affine()

    class Steps:
        def padded(self, batch: list[int]) -> int:
            return 3 * len(batch)

        def learn(self, batch: list[int]) -> None:
            copy = model.weight * 1.0  # of its own storage, as a weight in a shorter format
            states = torch.ones(3 * len(batch), 10)
            (copy.square().sum() + (states * model.weight[:10]).sum()).backward()

    steps = Steps()
    steps.model = model
    fixed, by_token = estimate_module._kept(steps, [0, 1, 2, 3])
    assert (fixed, by_token) == (16 * 4, 10 * 4)


@pytest.mark.parametrize(
    ("seconds", "epochs", "said"),
    [
        (12.4, 1, "12 seconds for one epoch, 2.0 GiB of memory"),
        (600, 3, "10 minutes for 3 epochs, 2.0 GiB of memory"),
        (9000, 2, "2.5 hours for 2 epochs, 2.0 GiB of memory"),
    ],
)
def test_an_estimate_reads_well(seconds: float, epochs: int, said: str):
    assert str(Estimate(seconds, 2**31, epochs)) == said


def test_more_epochs_take_longer(
    tiny_bert: Path, patents: Path, tmp_path: Path, fits: list[Fit], monkeypatch
):
    tiny_train(tiny_settings(tiny_bert, patents, tmp_path / "model", epochs=1))
    (fit,) = fits
    monkeypatch.setattr(estimate_module, "_by_token", lambda *_: 0.5)
    validation = sum(fit.validation_lengths)
    assert estimate(fit).seconds == 0.5 * (sum(map(fit.padded, fit.plan[0])) + validation)
