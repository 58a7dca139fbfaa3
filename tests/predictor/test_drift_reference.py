"""The drift reference: it round-trips through its files, or is refused."""

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
from patclass.core.errors import ModelError
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.data.examples import Example
from patclass.model.tokenizer import EncodedText, Passage
from patclass.predictor import drift_reference as reference
from patclass.predictor.drift_reference import (
    DIRECTIONS,
    DriftReference,
    Vocabulary,
    collect_reference,
    fit_embedding_space,
    held_out_novelty,
    vocabulary_of,
)

HIDDEN = 40
FILE = DriftReference.FILE


def embeddings(rows: int, seed: int = 0, away: float = 0.0) -> np.ndarray:
    """Embeddings that vary along some directions much more than along others."""
    random = np.random.default_rng(seed)
    spread = np.geomspace(5, 0.05, HIDDEN)
    return (random.normal(size=(rows, HIDDEN)) * spread + 3 + away).astype(np.float32)


def test_a_typical_embedding_has_a_novelty_of_about_one():
    space = fit_embedding_space(embeddings(2000))
    assert space.directions.shape == (HIDDEN, DIRECTIONS)
    assert space.novelty(embeddings(500, seed=1)).mean() == pytest.approx(1, abs=0.03)


def test_a_dissimilar_embedding_has_a_higher_novelty():
    space = fit_embedding_space(embeddings(2000))
    usual, odd = (
        space.novelty(embeddings(200, seed=1)),
        space.novelty(embeddings(200, seed=1, away=5)),
    )
    assert odd.min() > usual.max()


def test_typical_embeddings_have_unit_variance_in_each_direction():
    known = embeddings(3000)
    space = fit_embedding_space(known)
    along = (known - space.mean) @ space.directions
    assert along.std(axis=0) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("rows", [40, 140, 1500])
def test_held_out_novelty_matches_that_of_new_embeddings(rows: int):
    """Even with few rows: the folds have as many directions as the whole."""
    held_out = np.concatenate([held_out_novelty(embeddings(rows, seed)) for seed in range(20)])
    new = [
        fit_embedding_space(embeddings(rows, seed)).novelty(embeddings(200, 99))
        for seed in range(20)
    ]
    assert np.median(held_out) == pytest.approx(np.median(new), rel=0.06)


def test_identical_embeddings_have_no_novelty():
    same = np.full((10, HIDDEN), 3.0, dtype=np.float32)
    assert fit_embedding_space(same).novelty(same + 1).tolist() == [1.0] * 10
    assert held_out_novelty(same[:1]).tolist() == [1.0]


tokens = st.lists(st.integers(0, 300), max_size=40)


SECTIONS = LabelTree.flat(LabelSet.of_codes(CODES), "section")


def drawn(rows: int = 50) -> DriftReference:
    reference = Stream().draw(rows, np.random.default_rng(0)).reference()
    return replace(reference, vocabulary=vocabulary_of([[1, 5, 9]]))


def test_a_reference_round_trips_through_its_files(tmp_path: Path):
    reference = drawn()
    reference.save(tmp_path)
    found = DriftReference.load((tmp_path / FILE).read_bytes(), SECTIONS)
    assert found.levels == ("section",)
    assert found.codes == {"section": CODES}
    assert found.accuracy == reference.accuracy
    for name in ("chars", "oov_rate", "novelty"):
        assert getattr(found, name).tolist() == getattr(reference, name).tolist()
    assert found.predictions["section"].tolist() == reference.predictions["section"].tolist()
    assert found.confidences["section"].tolist() == reference.confidences["section"].tolist()
    assert found.vocabulary.oov_rate([1, 5, 6, 7]) == 0.5
    assert found.space.directions.shape == reference.space.directions.shape


def test_a_prediction_above_a_level_counts_for_no_label():
    labels = np.array([0, 2, -1, 2], dtype=np.int32)
    reference = replace(drawn(4), predictions={"section": labels})
    assert reference.counts("section").tolist() == [1, 0, 2, 0, 0, 0, 0, 0]


def change(folder: Path, of: Callable[[dict[str, Any]], object], about: object = None) -> None:
    """Save the file again after changing its arrays."""
    arrays = load_file(folder / FILE)
    of(arrays)
    known = {"codes": {"section": list(CODES)}, "accuracy": {"section": 0.8}}
    save_file(arrays, folder / FILE, {"about": json.dumps(known if about is None else about)})


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("chars", np.zeros(3, np.float32)),
        ("novelty", np.zeros((50, 1), np.float32)),
        ("confidences/section", np.zeros(49, np.float32)),
        ("predictions/section", np.full(50, 8, np.int32)),
        ("predictions/section", np.full(50, -2, np.int32)),
        ("predictions/section", np.full(50, 0.5, np.float32)),
        ("mean", np.zeros(5, np.float32)),
        ("seen", np.zeros(5, np.float32)),
    ],
)
def test_arrays_of_the_wrong_shape_are_refused(tmp_path: Path, name: str, array: np.ndarray):
    drawn().save(tmp_path)
    change(tmp_path, lambda arrays: arrays.update({name: array}))
    with pytest.raises(ModelError, match=FILE):
        DriftReference.load((tmp_path / FILE).read_bytes(), SECTIONS)


@pytest.mark.parametrize("name", ["chars", "seen", "directions", "predictions/section"])
def test_a_missing_array_is_named(tmp_path: Path, name: str):
    drawn().save(tmp_path)
    change(tmp_path, lambda arrays: arrays.pop(name))
    with pytest.raises(ModelError, match=name):
        DriftReference.load((tmp_path / FILE).read_bytes(), SECTIONS)


@pytest.mark.parametrize("about", [[], {}, {"codes": {}, "accuracy": {}}, {"codes": ["section"]}])
def test_an_invalid_description_is_refused(tmp_path: Path, about: object):
    drawn().save(tmp_path)
    change(tmp_path, lambda arrays: None, about)
    with pytest.raises(ModelError, match=FILE):
        DriftReference.load((tmp_path / FILE).read_bytes(), SECTIONS)


@given(st.integers(0, 4000))
def test_a_truncated_file_is_refused(end: int):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        drawn().save(Path(folder))
        path = Path(folder) / FILE
        whole = path.read_bytes()
        path.write_bytes(whole[: min(end, len(whole) - 1)])
        with pytest.raises(ModelError, match=FILE):
            DriftReference.load((Path(folder) / FILE).read_bytes(), SECTIONS)


def test_a_reference_without_rows_is_refused(tmp_path: Path):
    drawn().save(tmp_path)
    names = ("chars", "oov_rate", "novelty", "predictions/section", "confidences/section")
    change(tmp_path, lambda arrays: arrays.update({name: arrays[name][:0] for name in names}))
    with pytest.raises(ModelError, match="has no row"):
        DriftReference.load((tmp_path / FILE).read_bytes(), SECTIONS)


@given(st.lists(tokens, max_size=5), tokens)
def test_the_out_of_vocabulary_rate_is_the_share_of_unseen_tokens(
    read: list[list[int]], ids: list[int]
):
    known = {token for row in read for token in row}
    expected = sum(token not in known for token in ids) / max(1, len(ids))
    assert vocabulary_of(read).oov_rate(ids) == pytest.approx(expected)


def test_token_ids_beyond_the_vocabulary_are_unseen():
    assert vocabulary_of([[3]]).oov_rate([3, 4, 7, 8, 50_000]) == 0.8
    assert Vocabulary(np.zeros(0, np.uint8)).oov_rate([0]) == 1.0


LEAF_CODES = ("A", "A01", "A61", "H", "H01")
# A01, A61, and a leaf for everything else in H, beside H01.
TREE = LabelTree(
    ("section", "class"),
    (("A", "A01"), ("A", "A61"), ("H",), ("H", "H01")),
    {code: code for code in LEAF_CODES},
)


def example(number: int, *y_true: int | None) -> Example:
    return Example(f"P{number}", "x" * (10 + number), y_true, ())


def collected(rows: list[Example], leaves: list[list[float]]) -> DriftReference:
    encodings = [EncodedText((Passage((1, 2), 0, 5), Passage((2, 9), 5, 10)), 1.0) for _ in rows]
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(len(rows), 8)).astype(np.float32)
    table = np.array(leaves, dtype=np.float32)
    return collect_reference(TREE, rows, encodings, embeddings, table, vocabulary_of([[1, 2]]))


ROWS = [example(0, 0, 0), example(1, 1, 2), example(2, 0, None), example(3, 1, -1)]
LEAVES = [
    [0.3, 0.3, 0.2, 0.2],  # A, A61 (the later of two equal ones)
    [0.1, 0.1, 0.2, 0.6],  # H, H01
    [0.35, 0.05, 0.3, 0.3],  # H, H01 although A01 alone is more probable
    [0.5, 0.2, 0.2, 0.1],  # A, A01
]


def test_reference_labels_are_those_that_would_be_predicted():
    found = collected(ROWS, LEAVES)
    assert found.codes == {"section": ("A", "H"), "class": ("A01", "A61", "H01")}
    assert found.predictions["section"].tolist() == [0, 1, 1, 0]
    assert found.predictions["class"].tolist() == [1, 2, 2, 0]
    assert found.confidences["section"] == pytest.approx([0.6, 0.8, 0.6, 0.7])
    assert found.confidences["class"] == pytest.approx([0.3, 0.6, 0.3, 0.5])


def test_accuracy_is_computed_where_the_true_label_is_known():
    found = collected(ROWS, LEAVES)
    assert found.accuracy == {"section": 0.5, "class": pytest.approx(1 / 3)}
    assert collected([example(0, None, None)], LEAVES[:1]).accuracy == {}


def test_lengths_and_unseen_tokens_of_all_passages_are_stored():
    found = collected(ROWS, LEAVES)
    assert found.chars.tolist() == [10, 11, 12, 13]
    assert found.oov_rate.tolist() == [0.25] * 4
    assert found.novelty.shape == (4,)


def test_very_many_rows_are_subsampled_evenly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reference, "MOST_ROWS", 3)
    assert collected([example(n, 0, 0) for n in range(9)], [LEAVES[0]] * 9).chars.tolist() == [
        *(10, 14, 18)
    ]
