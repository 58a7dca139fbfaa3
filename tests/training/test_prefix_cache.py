"""The states of the lower layers on disk, and runs that start every epoch from them."""

import json
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
import torch

from helpers import tiny_run, tiny_settings, tiny_train
from patclass.core.errors import TrainingError
from patclass.model import device as compute
from patclass.model.network import PatentClassifier
from patclass.model.prefix import Prefix
from patclass.model.tokenizer import TextTokenizer
from patclass.training import prefix_cache
from patclass.training.loop import Fit
from patclass.training.prefix_cache import DONE, STATES, PrefixCache
from patclass.training.run import work_folder
from tiny_parts import TEXTS, tiny_batch, tiny_classifier, weights

UPPER = {"lora_layers": 1, "epochs": 3, "checkpoint_steps": 3}


class Crash(BaseException):
    """Simulates the end of the process: nothing catches it."""


class Cached(NamedTuple):
    model: PatentClassifier
    prefix: Prefix
    make: Callable[..., PrefixCache]


@pytest.fixture
def cached(tiny_base: Path, tmp_path: Path) -> Cached:
    """Makes caches of the three texts in one folder."""
    model = tiny_classifier(tiny_base, lora_layers=1).eval()
    prefix = Prefix.of(model)
    assert prefix is not None
    tokenizer = TextTokenizer.load(tiny_base, 64)
    rows = tokenizer.token_ids(TEXTS)

    def make(
        used: tuple[int, ...] = (0, 1, 2), autocast: bool = False, base: str = "base"
    ) -> PrefixCache:
        return PrefixCache(prefix, tokenizer, rows, used, tmp_path, autocast, base)

    return Cached(model, prefix, make)


def calls(cached: Cached, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the prefix computes from now on."""
    found: list[object] = []
    honest = cached.prefix.compute

    def compute(batch):
        found.append(batch)
        return honest(batch)

    monkeypatch.setattr(cached.prefix, "compute", compute)
    return found


@pytest.mark.parametrize("used", [(0, 1, 2), (2, 0)])
def test_a_batch_is_answered_as_without_the_cache(
    cached: Cached, tiny_base: Path, tmp_path: Path, used: tuple[int, ...]
):
    cache = cached.make(used)
    cache.fill()
    assert (tmp_path / STATES).stat().st_size == cache.size
    whole = tiny_batch(tiny_base)
    expected = cached.model(type(whole)(whole.input_ids[[*used]], whole.attention_mask[[*used]]))
    with cache.given(used):
        found = cached.model(type(whole)(whole.input_ids[[*used]], whole.attention_mask[[*used]]))
    torch.testing.assert_close(found, expected)


def test_a_step_in_bfloat16_keeps_states_of_half_the_size(cached: Cached, tiny_base: Path):
    long, short = cached.make(), cached.make(autocast=True)
    short.fill()
    assert short.size * 2 == long.size
    batch = tiny_batch(tiny_base)
    with torch.autocast("cpu", torch.bfloat16):
        expected = cached.model(batch)
        with short.given((0, 1, 2)):
            found = cached.model(batch)
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0.03)


def test_what_is_there_is_not_computed_again(cached: Cached, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(prefix_cache, "BATCH_TOKENS", 1)
    found = calls(cached, monkeypatch)
    cached.make().fill()
    assert len(found) == 3
    cached.make().fill()
    assert len(found) == 3
    cached.make(base="another base").fill()
    assert len(found) == 6
    cached.make((0, 1), base="another base").fill()
    assert len(found) == 8


def half_a_batch_more(folder: Path) -> None:
    with (folder / STATES).open("ab") as file:
        file.write(b"half a batch")


@pytest.mark.parametrize(
    ("damage", "again"),
    [
        (lambda folder: None, 1),
        (half_a_batch_more, 1),
        (lambda folder: (folder / STATES).write_bytes(b"short"), 3),
        (lambda folder: (folder / STATES).unlink(), 3),
        (lambda folder: (folder / DONE).write_text("{"), 3),
        (lambda folder: (folder / DONE).write_text("[]"), 3),
    ],
)
def test_after_a_kill_the_rest_is_computed(
    cached: Cached, monkeypatch, tmp_path: Path, damage: Callable[[Path], Any], again: int
):
    monkeypatch.setattr(prefix_cache, "BATCH_TOKENS", 1)
    monkeypatch.setattr(prefix_cache, "SAVE_SECONDS", -1.0)
    cached.make().fill()
    whole = (tmp_path / STATES).read_bytes()
    honest, done = cached.prefix.compute, count()

    def compute(batch):
        if next(done) == 2:
            raise Crash
        return honest(batch)

    (tmp_path / DONE).unlink()
    with patch.object(cached.prefix, "compute", compute), pytest.raises(Crash):
        cached.make().fill()
    damage(tmp_path)
    found = calls(cached, monkeypatch)
    cached.make().fill()
    assert len(found) == again
    assert (tmp_path / STATES).read_bytes() == whole


def test_a_disk_without_room_is_told_with_the_way_out(cached: Cached, monkeypatch, tmp_path: Path):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30 + 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(TrainingError, match=r"1 lower layers .* 0\.0 GiB in .*prefix_cache off"):
        cached.make().fill()
    assert not (tmp_path / STATES).exists()


def losses(output: Path) -> list[float]:
    lines = (work_folder(output) / "curve.jsonl").read_text().splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def test_a_run_learns_the_same_with_and_without_it(
    tiny_base: Path, patents: Path, tmp_path: Path, monkeypatch
):
    filled: list[object] = []
    honest = PrefixCache.fill
    monkeypatch.setattr(PrefixCache, "fill", lambda self: (filled.append(self.key()), honest(self)))
    tiny_run(tiny_base, patents, tmp_path / "with", **UPPER, field_dropout=0.3)
    assert len(filled) == 1
    assert len(filled[0]) == 64
    tiny_run(
        tiny_base, patents, tmp_path / "without", **UPPER, field_dropout=0.3, prefix_cache=False
    )
    tiny_run(tiny_base, patents, tmp_path / "once", **UPPER | {"epochs": 1})
    tiny_run(tiny_base, patents, tmp_path / "every", **UPPER | {"lora_layers": None})
    assert len(filled) == 1
    np.testing.assert_allclose(losses(tmp_path / "with"), losses(tmp_path / "without"), rtol=1e-4)
    torch.testing.assert_close(
        weights(tmp_path / "with"), weights(tmp_path / "without"), atol=1e-4, rtol=1e-3
    )
    assert not list(work_folder(tmp_path / "with").glob("prefix*"))


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_resumed_run_ends_with_the_same_weights(
    tiny_base: Path, patents: Path, tmp_path: Path, monkeypatch, epoch: int
):
    plain, short = compute.Products(1, 0), compute.Products(2, 0)
    here = compute.CpuProbe(plain, plain, short)  # so that states are rounded to bfloat16
    monkeypatch.setattr(compute, "probe_cpu", lambda: here)
    more = UPPER | {"mixed_precision": True}
    tiny_run(tiny_base, patents, tmp_path / "whole", **more)
    steps = len(losses(tmp_path / "whole")) // 3
    honest, done = Fit._step, count()

    def step(self: Fit, batch: list[int], bar: object) -> None:
        if next(done) == steps * epoch - 2:
            raise Crash
        honest(self, batch, bar)

    with patch.object(Fit, "_step", step), pytest.raises(Crash):
        tiny_run(tiny_base, patents, tmp_path / "killed", **more)
    assert (work_folder(tmp_path / "killed") / STATES).is_file()
    tiny_train(tiny_settings(tiny_base, patents, tmp_path / "killed", **more), resume=True)
    assert weights(tmp_path / "killed").equal(weights(tmp_path / "whole"))
