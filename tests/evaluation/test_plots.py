"""The confusion matrix as a picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patclass.evaluation.html import confusion_picture
from patclass.evaluation.metrics import Metrics, evaluate


def metrics(labels: int, wrong: bool = False) -> Metrics:
    y_true = [row % labels for row in range(3 * labels)]
    shifted = [(label + wrong) % labels for label in y_true]
    codes = [f"L{n:03}" for n in range(labels)]
    return evaluate(y_true, np.eye(labels, dtype=np.float32)[shifted], codes)


def picture(path: Path, labels: int, wrong: bool = False) -> Image.Image:
    confusion_picture(metrics(labels, wrong), f"test, {3 * labels} rows", path)
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        return image.convert("RGB")


@pytest.mark.parametrize("labels", [2, 9, 130])
def test_the_picture_is_a_png_that_fits_a_screen(tmp_path: Path, labels: int):
    image = picture(tmp_path / "confusion.png", labels)
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert 400 < image.width < 2200
    assert 400 < image.height < 2200
    assert (tmp_path / "confusion.png").stat().st_size < 500_000


def test_more_labels_make_a_larger_picture(tmp_path: Path):
    assert picture(tmp_path / "a.png", 9).width > picture(tmp_path / "b.png", 2).width


def test_the_picture_shows_the_matrix(tmp_path: Path):
    right = np.asarray(picture(tmp_path / "right.png", 9))
    wrong = np.asarray(picture(tmp_path / "wrong.png", 9, wrong=True))
    assert right.shape == wrong.shape
    assert (right != wrong).any()
    # Full shades of a row: dark blue cells must be there at all.
    assert ((right[..., 2] > right[..., 0] + 60) & (right[..., 0] < 60)).mean() > 0.005


def test_labels_without_rows_leave_an_empty_row(tmp_path: Path):
    rare = evaluate([0], np.array([[1, 0]], dtype=np.float32), ["A", "B"])
    confusion_picture(rare, "one row", tmp_path / "rare.png")
    with Image.open(tmp_path / "rare.png") as image:
        image.verify()


def test_the_same_figures_make_the_same_bytes(tmp_path: Path):
    picture(tmp_path / "a.png", 3)
    picture(tmp_path / "b.png", 3)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_label_with_dollar_signs_is_not_rendered_as_a_formula(tmp_path: Path):
    odd = evaluate([0], np.array([[1, 0]], dtype=np.float32), ["$\\bad{$", "B"])
    confusion_picture(odd, "$\\worse{$", tmp_path / "odd.png")
    assert (tmp_path / "odd.png").stat().st_size > 1000
