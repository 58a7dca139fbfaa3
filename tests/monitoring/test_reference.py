"""What is kept of usual answers: it comes back as it was, or not at all."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from monitoring_data import CODES, Stream
from patclass.errors import ModelError
from patclass.monitoring.reference import FILE, Reference, Seen, tokens_seen

tokens = st.lists(st.integers(0, 300), max_size=40)


def drawn(rows: int = 50) -> Reference:
    reference = Stream().draw(rows, np.random.default_rng(0)).reference()
    return replace(reference, seen=tokens_seen([[1, 5, 9]]))


def test_a_reference_comes_back_as_it_was(tmp_path: Path):
    reference = drawn()
    reference.save(tmp_path)
    found = Reference.load(tmp_path)
    assert found.levels == ("section",)
    assert found.codes == {"section": CODES}
    assert found.accuracy == reference.accuracy
    for name in ("chars", "unseen", "distance"):
        assert getattr(found, name).tolist() == getattr(reference, name).tolist()
    assert found.answers["section"].tolist() == reference.answers["section"].tolist()
    assert found.confidences["section"].tolist() == reference.confidences["section"].tolist()
    assert found.seen.unseen([1, 5, 6, 7]) == 0.5
    assert found.space.directions.shape == reference.space.directions.shape


def test_an_answer_that_ends_above_a_level_counts_for_no_label():
    answers = np.array([0, 2, -1, 2], dtype=np.int32)
    reference = replace(drawn(4), answers={"section": answers})
    assert reference.counts("section").tolist() == [1, 0, 2, 0, 0, 0, 0, 0]


def change(folder: Path, of: Callable[[dict[str, Any]], object], about: object = None) -> None:
    """Save the file anew after a change of its arrays."""
    arrays = load_file(folder / FILE)
    of(arrays)
    known = {"codes": {"section": list(CODES)}, "accuracy": {"section": 0.8}}
    save_file(arrays, folder / FILE, {"about": json.dumps(known if about is None else about)})


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("chars", np.zeros(3, np.float32)),
        ("distance", np.zeros((50, 1), np.float32)),
        ("confidences/section", np.zeros(49, np.float32)),
        ("answers/section", np.full(50, 8, np.int32)),
        ("answers/section", np.full(50, -2, np.int32)),
        ("answers/section", np.full(50, 0.5, np.float32)),
        ("mean", np.zeros(5, np.float32)),
        ("seen", np.zeros(5, np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, name: str, array: np.ndarray):
    drawn().save(tmp_path)
    change(tmp_path, lambda arrays: arrays.update({name: array}))
    with pytest.raises(ModelError, match=FILE):
        Reference.load(tmp_path)


@pytest.mark.parametrize("name", ["chars", "seen", "directions", "answers/section"])
def test_an_array_that_is_missing_is_named(tmp_path: Path, name: str):
    drawn().save(tmp_path)
    change(tmp_path, lambda arrays: arrays.pop(name))
    with pytest.raises(ModelError, match=name):
        Reference.load(tmp_path)


@pytest.mark.parametrize("about", [[], {}, {"codes": {}, "accuracy": {}}, {"codes": ["section"]}])
def test_a_description_that_is_none_is_refused(tmp_path: Path, about: object):
    drawn().save(tmp_path)
    change(tmp_path, lambda arrays: None, about)
    with pytest.raises(ModelError, match=FILE):
        Reference.load(tmp_path)


@given(st.integers(0, 4000))
def test_a_file_that_ends_early_is_refused(end: int):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        drawn().save(Path(folder))
        path = Path(folder) / FILE
        whole = path.read_bytes()
        path.write_bytes(whole[: min(end, len(whole) - 1)])
        with pytest.raises(ModelError, match=FILE):
            Reference.load(Path(folder))


def test_a_reference_of_nothing_is_refused(tmp_path: Path):
    drawn().save(tmp_path)
    names = ("chars", "unseen", "distance", "answers/section", "confidences/section")
    change(tmp_path, lambda arrays: arrays.update({name: arrays[name][:0] for name in names}))
    with pytest.raises(ModelError, match="do not fit"):
        Reference.load(tmp_path)


@given(st.lists(tokens, max_size=5), tokens)
def test_unseen_is_the_share_that_was_never_read(read: list[list[int]], ids: list[int]):
    known = {token for row in read for token in row}
    expected = sum(token not in known for token in ids) / max(1, len(ids))
    assert tokens_seen(read).unseen(ids) == pytest.approx(expected)


def test_tokens_beyond_all_that_were_read_are_unseen():
    assert tokens_seen([[3]]).unseen([3, 4, 7, 8, 50_000]) == 0.8
    assert Seen(np.zeros(0, np.uint8)).unseen([0]) == 1.0
