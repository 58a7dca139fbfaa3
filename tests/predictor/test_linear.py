"""The linear model: what it learns at each level, what it stores, and when there is none."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from conftest import WORDS, patent_rows
from patclass.core.errors import ModelError
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.data.examples import Example
from patclass.predictor import linear_fit as linear_module
from patclass.predictor.linear import LINEAR_CHARS, LinearModel, weighed_features
from patclass.predictor.linear_fit import fit_linear

CODES = list(WORDS)
FILE = LinearModel.FILE
NAMES = ("hashes", "idf", "counts", "groups", "weights", "scales", "intercept")

# Two sections; A has two classes and B one and an "other": groups 0 and 1, then 2 to 5.
PATHS = (("A", "A01"), ("A", "A02"), ("B", "B01"), ("B",))
DEEP = LabelTree(("section", "class"), PATHS, {code: code for path in PATHS for code in path})


def tree_of(labels: int) -> LabelTree:
    return LabelTree.flat(LabelSet.of_codes("ACDEH"[:labels]))


def examples(
    rows: Sequence[str], leaves: Sequence[int | tuple[int, ...]], weight: float = 1.0
) -> list[Example]:
    return [
        Example(f"P{row}", text, (), leaf if isinstance(leaf, tuple) else (leaf,), weight=weight)
        for row, (text, leaf) in enumerate(zip(rows, leaves, strict=True))
    ]


def texts(count: int, seed: int) -> tuple[list[str], list[int]]:
    rows = patent_rows(count, seed)
    labels = [CODES.index(row["main_code"][0]) for row in rows]
    return [f"{row['title']}. {row['abstract']}" for row in rows], labels


def fit(count: int = 90) -> LinearModel:
    model = fit_linear(tree_of(3), examples(*texts(count, 1)), examples(*texts(18, 2)))
    assert model is not None
    return model


def assert_equal(found: LinearModel, expected: LinearModel) -> None:
    for name in NAMES:
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return fit()


@pytest.fixture(scope="module")
def deep() -> LinearModel:
    """A third of the rows of section A tells no class."""
    train = examples(
        ["plough soil", "cow milk", "plough or cow", "weld steel", "mill grain"] * 6,
        [0, 1, (0, 1), 2, 3] * 6,
    )
    model = fit_linear(DEEP, train, train[:5])
    assert model is not None
    return model


def test_separable_texts_are_learnt(model: LinearModel):
    unseen, labels = texts(60, 3)
    found = model.scores(unseen)
    assert found.dtype == np.float32
    assert found.shape == (60, 3)
    assert found.argmax(axis=1).tolist() == labels


def test_every_level_is_learnt_among_siblings(deep: LinearModel):
    found = deep.scores(["soil", "milk", "steel", "grain"])
    assert found.shape == (4, 6)
    sections, within_a, within_b = found[:, :2], found[:, 2:4], found[:, 4:]
    assert sections.argmax(axis=1).tolist() == [0, 0, 1, 1]
    assert within_a[:2].argmax(axis=1).tolist() == [0, 1]
    assert within_b[2:].argmax(axis=1).tolist() == [0, 1]
    # What tells steel from grain says nothing about soil and milk.
    np.testing.assert_allclose(within_a[2:], within_a[2:][::-1], atol=1e-6)


def test_a_row_without_a_class_teaches_its_section(deep: LinearModel):
    """The word "or" occurs only in rows of section A whose class is not known."""
    found = deep.scores(["or", ""])
    assert found[0, 0] > found[1, 0] + 0.1
    np.testing.assert_array_equal(found[0, 2:], found[1, 2:])


def test_a_class_without_a_row_is_never_predicted():
    train = examples(["plough soil", "cow milk", "weld steel"] * 6, [0, (0, 1), 2] * 6)
    model = fit_linear(DEEP, train, train[:3])
    assert model is not None
    found = model.scores(["cow milk", "steel"])
    assert (found[:, 3] < found[:, 2] - 10).all()
    assert (found[:, 5] < found[:, 4] - 10).all()


def test_a_level_that_no_row_knows_is_not_judged():
    train = examples(["plough soil", "weld steel"] * 6, [(0, 1), (2, 3)] * 6)
    model = fit_linear(DEEP, train, train[:2])
    assert model is not None
    np.testing.assert_array_equal(model.scores(["soil", "steel", ""])[:, 2:], 0)


@pytest.mark.parametrize(("weight", "expected"), [(1, 0), (20, 1)])
def test_rows_count_by_their_weight(weight: float, expected: int):
    light = examples(["soil", "soil", "steel"] * 4, [0, 0, 1] * 4)
    train = [*light, *examples(["soil"] * 4, [1] * 4, weight)]
    model = fit_linear(tree_of(2), train, examples(["steel"], [1]))
    assert model is not None
    assert model.scores(["soil"])[0].argmax() == expected


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=80) | st.sampled_from(texts(9, 4)[0]), min_size=1, max_size=4))
def test_any_text_is_scored(model: LinearModel, unseen: list[str]):
    found = model.scores(unseen)
    assert found.shape == (len(unseen), 3)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("text", ["", " ", "x y z", "§ 1", "entirely foreign words"])
def test_a_text_without_known_words_is_scored_by_the_intercepts(model: LinearModel, text: str):
    np.testing.assert_allclose(model.scores([text])[0], model.intercept, atol=1e-6)
    # The three labels are balanced, and each word of the frame occurs in all of them.
    np.testing.assert_allclose(model.intercept, model.intercept.mean(), atol=0.2)


def test_texts_are_scored_alike_alone_and_in_a_batch(model: LinearModel):
    unseen = [*texts(6, 5)[0], "", "polymer"]
    together = model.scores(unseen)
    for row, text in enumerate(unseen):
        np.testing.assert_allclose(model.scores([text])[0], together[row], atol=1e-6)


def test_a_score_is_the_sum_of_the_weights_of_the_words(model: LinearModel):
    (text, *_), _ = texts(3, 6)
    places, values = weighed_features(text, model.hashes, model.idf)
    assert np.linalg.norm(values) == pytest.approx(1)
    dense = np.zeros((3, len(model.hashes)))
    features = np.repeat(np.arange(len(model.hashes)), model.counts)
    dense[model.groups, features] = model.weights * model.scales[model.groups]
    expected = dense[:, places] @ values + model.intercept
    np.testing.assert_allclose(model.scores([text])[0], expected, atol=1e-5)


def test_case_and_punctuation_do_not_matter(model: LinearModel):
    plain, loud = model.scores(["polymer catalyst acid", "POLYMER, catalyst: Acid!"])
    np.testing.assert_array_equal(plain, loud)


def test_word_pairs_are_features(model: LinearModel):
    there, back = model.scores(["device with polymer", "polymer with device"])
    assert not np.array_equal(there, back)


def test_only_the_head_of_a_long_text_is_read(model: LinearModel):
    head = "polymer " * (LINEAR_CHARS // 8)
    short, long = model.scores([head, head + "antenna " * 5_000])
    np.testing.assert_array_equal(short, long)


def test_two_labels_have_opposite_scores():
    train, labels = zip(*[(t, y) for t, y in zip(*texts(90, 1), strict=True) if y < 2], strict=True)
    rows = examples(train, labels)
    model = fit_linear(tree_of(2), rows, rows[:10])
    assert model is not None
    unseen = [(t, y) for t, y in zip(*texts(60, 3), strict=True) if y < 2]
    found = model.scores([text for text, _ in unseen])
    assert found.argmax(axis=1).tolist() == [label for _, label in unseen]
    np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=1e-5)


@pytest.mark.parametrize(("labels", "shift"), [(5, 0), (4, 1)])
def test_a_label_without_rows_is_never_predicted(labels: int, shift: int):
    (train, y_train), (validation, y_validation) = texts(90, 1), texts(18, 2)
    model = fit_linear(
        tree_of(labels),
        examples(train, [y + shift for y in y_train]),
        examples(validation, [y + shift for y in y_validation]),
    )
    assert model is not None
    unseen, expected = texts(30, 3)
    found = model.scores([*unseen, "", "foreign"])
    assert found.shape == (32, labels)
    assert found[:30].argmax(axis=1).tolist() == [y + shift for y in expected]
    absent = [kind for kind in range(labels) if kind not in {y + shift for y in y_train}]
    assert found[:, absent].max() < -10


@pytest.mark.parametrize("text", ["", "§ 1", "a b c"])
def test_without_words_there_is_no_model(text: str):
    assert fit_linear(tree_of(2), examples([text] * 6, [0, 1] * 3), examples(["soil"], [0])) is None


def test_with_one_label_there_is_no_model():
    train = examples(["soil seed", "seed harvest"], [1, 1])
    assert fit_linear(tree_of(3), train, train) is None


def test_the_regularisation_is_chosen_on_validation(monkeypatch: pytest.MonkeyPatch):
    tried: list[float] = []
    honest = linear_module._fit

    def watch(features: object, level: object, strength: float) -> object:
        tried.append(strength)
        return honest(features, level, strength)

    monkeypatch.setattr(linear_module, "_fit", watch)
    fit()
    assert tried == list(linear_module.STRENGTHS)


def test_only_the_heaviest_features_and_weights_are_stored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(linear_module, "MAX_FEATURES", 40)
    monkeypatch.setattr(linear_module, "MAX_WEIGHTS", 60)
    model = fit()
    assert model.hashes.shape == model.idf.shape == model.counts.shape == (40,)
    assert 50 <= len(model.weights) == len(model.groups) == model.counts.sum() <= 60
    assert (np.diff(model.hashes.astype(np.int64)) > 0).all()
    unseen, labels = texts(60, 3)
    assert (model.scores(unseen).argmax(axis=1) == labels).mean() > 0.9


def test_the_same_texts_give_the_same_model(model: LinearModel):
    assert_equal(fit(), model)


# On disk


@pytest.mark.parametrize("name", ["model", "deep"])
def test_a_loaded_model_predicts_like_the_saved_one(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
):
    saved: LinearModel = request.getfixturevalue(name)
    saved.save(tmp_path)
    tree = DEEP if name == "deep" else tree_of(3)
    loaded = LinearModel.load((tmp_path / FILE).read_bytes(), tree)
    assert_equal(loaded, saved)
    unseen = [*texts(6, 5)[0], "soil", ""]
    np.testing.assert_array_equal(loaded.scores(unseen), saved.scores(unseen))


def test_the_file_contains_no_word_of_the_texts(model: LinearModel, tmp_path: Path):
    model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    content = (tmp_path / FILE).read_bytes()
    words = " ".join(WORDS.values()).split()
    assert not [word for word in words if word.encode() in content]


@pytest.mark.parametrize("labels", [2, 4])
def test_a_model_for_other_labels_is_refused(model: LinearModel, labels: int, tmp_path: Path):
    model.save(tmp_path)
    with pytest.raises(ModelError, match=rf"linear\.safetensors does not have {labels} labels"):
        LinearModel.load((tmp_path / FILE).read_bytes(), tree_of(labels))


@pytest.mark.parametrize("content", [b"", b"not a tensor file", b"\xff" * 64])
def test_a_file_that_cannot_be_read_is_named(content: bytes):
    with pytest.raises(ModelError, match=r"cannot read linear\.safetensors"):
        LinearModel.load(content, tree_of(3))


def test_a_truncated_file_is_refused(model: LinearModel, tmp_path: Path):
    model.save(tmp_path)
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[:-10])
    with pytest.raises(ModelError, match=r"linear\.safetensors"):
        LinearModel.load((tmp_path / FILE).read_bytes(), tree_of(3))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["missing", "renamed", "flat", "single", "short"])
def test_an_array_of_the_wrong_shape_is_refused(
    model: LinearModel, name: str, how: str, tmp_path: Path
):
    model.save(tmp_path)
    arrays = load_file(tmp_path / FILE)
    array = arrays.pop(name)
    changed = {
        "missing": {},
        "renamed": {f"{name}s": array},
        "flat": {name: array[None]},
        "single": {name: np.array(array.ravel()[0])},
        "short": {name: np.ascontiguousarray(array[..., :-1])},
    }
    save_file(arrays | changed[how], tmp_path / FILE)
    with pytest.raises(ModelError, match=r"linear\.safetensors"):
        LinearModel.load((tmp_path / FILE).read_bytes(), tree_of(3))
