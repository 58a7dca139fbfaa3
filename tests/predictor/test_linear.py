"""The linear model: what it learns, what it stores on disk, and when there is none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from conftest import WORDS, patent_rows
from patclass.core.errors import ModelError
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.predictor import linear_fit as linear_module
from patclass.predictor.linear import LINEAR_CHARS, LinearModel
from patclass.predictor.linear_fit import fit_linear

CODES = list(WORDS)
FILE = LinearModel.FILE


def tree_of(labels: int) -> LabelTree:
    return LabelTree.flat(LabelSet.of_codes("ACDEH"[:labels]))


def texts(count: int, seed: int) -> tuple[list[str], list[int]]:
    rows = patent_rows(count, seed)
    labels = [CODES.index(row["main_code"][0]) for row in rows]
    return [f"{row['title']}. {row['abstract']}" for row in rows], labels


def fit(n_classes: int = 3, count: int = 90) -> LinearModel:
    model = fit_linear(*texts(count, 1), n_classes, *texts(18, 2))
    assert model is not None
    return model


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return fit()


def test_separable_texts_are_learnt(model: LinearModel):
    unseen, labels = texts(60, 3)
    found = model.log_probabilities(unseen)
    assert found.dtype == np.float32
    assert found.shape == (60, 3)
    assert found.argmax(axis=1).tolist() == labels


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=80) | st.sampled_from(texts(9, 4)[0]), min_size=1, max_size=4))
def test_probabilities_of_any_text_sum_to_one(model: LinearModel, unseen: list[str]):
    found = model.log_probabilities(unseen)
    assert (found <= 0).all()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("text", ["", " ", "x y z", "§ 1", "entirely foreign words"])
def test_a_text_without_known_words_is_scored_by_the_intercepts(model: LinearModel, text: str):
    found = model.log_probabilities([text])
    expected = np.exp(model.intercept) / np.exp(model.intercept).sum()
    np.testing.assert_allclose(np.exp(found[0]), expected, atol=1e-5)
    # The three labels are balanced, and each word of the frame occurs in all of them.
    np.testing.assert_allclose(found, np.log(1 / 3), atol=0.2)


def test_texts_are_scored_alike_alone_and_in_a_batch(model: LinearModel):
    unseen = [*texts(6, 5)[0], "", "polymer"]
    together = model.log_probabilities(unseen)
    for row, text in enumerate(unseen):
        np.testing.assert_allclose(model.log_probabilities([text])[0], together[row], atol=1e-6)


def test_case_and_punctuation_do_not_matter(model: LinearModel):
    plain, loud = model.log_probabilities(["polymer catalyst acid", "POLYMER, catalyst: Acid!"])
    np.testing.assert_array_equal(plain, loud)


def test_word_pairs_are_features(model: LinearModel):
    there, back = model.log_probabilities(["device with polymer", "polymer with device"])
    assert not np.array_equal(there, back)


def test_only_the_head_of_a_long_text_is_read(model: LinearModel):
    head = "polymer " * (LINEAR_CHARS // 8)
    short, long = model.log_probabilities([head, head + "antenna " * 5_000])
    np.testing.assert_array_equal(short, long)


def test_a_binary_model_has_two_probabilities():
    train, labels = zip(*[(t, y) for t, y in zip(*texts(90, 1), strict=True) if y < 2], strict=True)
    model = fit_linear(train, labels, 2, train[:10], labels[:10])
    assert model is not None
    unseen = [(t, y) for t, y in zip(*texts(60, 3), strict=True) if y < 2]
    found = model.log_probabilities([text for text, _ in unseen])
    assert found.argmax(axis=1).tolist() == [label for _, label in unseen]
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(model.intercept, -model.intercept[::-1])


@pytest.mark.parametrize(("n_classes", "shift"), [(5, 0), (4, 1)])
def test_a_label_without_rows_is_never_predicted(n_classes: int, shift: int):
    train, labels = texts(90, 1)
    validation, y_true = texts(18, 2)
    model = fit_linear(
        train, [y + shift for y in labels], n_classes, validation, [y + shift for y in y_true]
    )
    assert model is not None
    unseen, expected = texts(30, 3)
    found = model.log_probabilities([*unseen, "", "foreign"])
    assert found.shape == (32, n_classes)
    assert found[:30].argmax(axis=1).tolist() == [y + shift for y in expected]
    absent = [kind for kind in range(n_classes) if kind not in {y + shift for y in labels}]
    assert np.exp(found[:, absent]).max() < 1e-6
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("text", ["", "§ 1", "a b c"])
def test_without_words_there_is_no_model(text: str):
    assert fit_linear([text] * 6, [0, 1] * 3, 2, ["soil"], [0]) is None


def test_with_one_label_there_is_no_model():
    assert fit_linear(["soil seed", "seed harvest"], [1, 1], 3, ["soil"], [1]) is None


def test_the_regularisation_is_chosen_on_validation(monkeypatch: pytest.MonkeyPatch):
    tried: list[float] = []
    honest = linear_module._fit

    def watch(features: object, labels: list[int], strength: float, weights: object) -> object:
        tried.append(strength)
        return honest(features, labels, strength, weights)

    monkeypatch.setattr(linear_module, "_fit", watch)
    fit()
    assert tried == list(linear_module.STRENGTHS)


def test_only_the_largest_weights_are_stored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(linear_module, "MAX_FEATURES", 40)
    model = fit()
    assert model.hashes.shape == model.idf.shape == (40,)
    assert model.weights.shape == (3, 40)
    assert (np.diff(model.hashes.astype(np.int64)) > 0).all()
    unseen, labels = texts(60, 3)
    assert (model.log_probabilities(unseen).argmax(axis=1) == labels).mean() > 0.9


def test_the_same_texts_give_the_same_model(model: LinearModel):
    again = fit()
    for name in ("hashes", "idf", "weights", "scales", "intercept"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))


# On disk


def test_a_loaded_model_predicts_like_the_saved_one(model: LinearModel, tmp_path: Path):
    model.save(tmp_path)
    loaded = LinearModel.load((tmp_path / FILE).read_bytes(), tree_of(3))
    for name in ("hashes", "idf", "weights", "scales", "intercept"):
        saved, found = getattr(model, name), getattr(loaded, name)
        assert saved.dtype == found.dtype
        np.testing.assert_array_equal(saved, found)
    unseen = [*texts(6, 5)[0], ""]
    np.testing.assert_array_equal(loaded.log_probabilities(unseen), model.log_probabilities(unseen))


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


@pytest.mark.parametrize("name", ["hashes", "idf", "weights", "scales", "intercept"])
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
