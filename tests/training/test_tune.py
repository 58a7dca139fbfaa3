"""The search for settings: what is tried, what is kept, and that it goes on."""

import csv
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers import tiny_settings
from patclass.cli.main import main
from patclass.core.errors import TrainingError
from patclass.core.settings import TrainSettings
from patclass.training import tune as tune_module
from patclass.training.tune import BEST, PICTURE, TABLE, Tuning, tune, with_values


@pytest.fixture
def settings(tiny_bert: Path, patents: Path, tmp_path: Path) -> TrainSettings:
    return tiny_settings(tiny_bert, patents, tmp_path / "tuned", epochs=2)


def end_after(trials: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still for so many trials, then the time is over."""
    ended: list[int] = []

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return 0.0 if len(ended) < trials else 1e9

    honest = tune_module._tell

    def tell(*arguments: object) -> None:
        honest(*arguments)
        ended.append(1)

    monkeypatch.setattr(tune_module, "time", Clock)
    monkeypatch.setattr(tune_module, "_tell", tell)


@pytest.fixture
def found(settings: TrainSettings, monkeypatch: pytest.MonkeyPatch) -> tuple[Tuning, list[str]]:
    end_after(3, monkeypatch)
    lines: list[str] = []
    return tune(settings, 1, echo=lines.append), lines


def test_trials_are_sorted_and_the_first_has_the_usual_settings(found, settings):
    tuning, lines = found
    assert len(tuning.trials) == 3
    assert sum(line.startswith("trial ") for line in lines) == 3
    first = next(each for each in tuning.trials if each.number == 1)
    assert first.settings == {
        "learning_rate": 5e-3,
        "r": 8,
        "targets": "auto",
        "lora_layers": 2,
        "max_tokens": 64,
    }
    whole = [each.score for each in tuning.trials if each.whole]
    assert whole == sorted(whole, reverse=True)


def test_what_was_found_is_kept(found, settings: TrainSettings):
    tuning, _ = found
    folder = settings.output.output
    rows = list(csv.DictReader((folder / TABLE).read_text().splitlines()))
    assert [int(row["trial"]) for row in rows] == [each.number for each in tuning.trials]
    assert (folder / PICTURE).read_bytes().startswith(b"\x89PNG")
    values = tomllib.loads((folder / BEST).read_text())
    best = tuning.best.settings
    assert values["fit"]["learning_rate"] == best["learning_rate"]
    again = TrainSettings.load({}, folder / BEST, environment={})
    assert (again.lora.r, again.lora.alpha) == (best["r"], 2 * best["r"])
    assert again.base == tuning.settings.base
    assert not list(folder.glob(".trial-*"))


def test_a_search_goes_on_only_when_asked(found, settings: TrainSettings, monkeypatch):
    with pytest.raises(TrainingError, match="holds a search; go on with resume"):
        tune(settings, 1)
    monkeypatch.undo()
    end_after(1, monkeypatch)
    lines: list[str] = []
    more = tune(settings, 1, resume=True, echo=lines.append)
    assert len(more.trials) == 4
    assert any(line.startswith("trial 4: ") for line in lines)


def test_a_search_with_other_settings_is_not_gone_on_with(found, settings: TrainSettings):
    other = with_values(settings, {"epochs": 3})
    with pytest.raises(TrainingError, match="no search with these settings and rows"):
        tune(other, 1, resume=True)


def test_a_search_without_a_trial_says_what_to_do(
    settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tune_module._Search, "objective", lambda search, trial: fail())
    with pytest.raises(TrainingError, match="no trial got through an epoch"):
        tune(settings, 0.001, echo=lambda line: None)


def fail() -> float:
    raise TrainingError("the loss is nan")


def test_rank_and_scale_change_together(settings: TrainSettings):
    changed = with_values(settings, {"r": 32, "max_tokens": 16})
    assert (changed.lora.r, changed.lora.alpha, changed.base.max_tokens) == (32, 64, 16)
    assert changed.fit == settings.fit


def test_the_command_prints_the_best_trials(
    tiny_bert: Path, patents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    end_after(3, monkeypatch)
    flags = {"base": tiny_bert, "data": patents, "max-tokens": 64, "epochs": 1}
    given = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    folder = tmp_path / "search"
    done = CliRunner().invoke(main, ["tune", "--minutes", "1", "-o", str(folder), *given])
    assert done.exit_code == 0, done.output
    assert "best trials by validation accuracy" in done.output
    assert f"patclass train --config {folder / BEST}" in done.output
