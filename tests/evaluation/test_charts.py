"""Charts as Vega-Lite, and as pictures that are the same bytes for the same figures."""

from base64 import b64decode
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from patclass.evaluation.calibration import reliability, risk_coverage
from patclass.evaluation.charts import (
    Chart,
    calibration_curve,
    confusion_cells,
    confusion_matrix,
    coverage_curve,
    data_uri,
    write_png,
)
from patclass.evaluation.metrics import evaluate
from vega import marks_of, rows_of

CONFIDENCES = np.linspace(0.2, 1, 40)
CORRECT = np.arange(40) % 3 > 0


def calibration_of(confidences: np.ndarray, correct: np.ndarray) -> Chart:
    bins = [found.model_dump() for found in reliability(confidences, correct)]
    return calibration_curve(bins, bins)


def coverage_of(confidences: np.ndarray, correct: np.ndarray) -> Chart:
    return coverage_curve([p.model_dump() for p in risk_coverage(confidences, correct).points])


def matrix_of(labels: int, shift: int = 0) -> Chart:
    """The confusion matrix of a model that predicts every label, or the one after it."""
    y_true = [row % labels for row in range(3 * labels)]
    predicted = [(label + shift) % labels for label in y_true]
    codes = [f"L{n:03}" for n in range(labels)]
    found = evaluate(y_true, np.eye(labels, dtype=np.float32)[predicted], codes)
    return confusion_matrix(confusion_cells(codes, found.confusion))


def svg(uri: str) -> ElementTree.Element:
    kind, data = uri.split(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(b64decode(data))


def picture(chart: Chart, path: Path, title: str = "test") -> Image.Image:
    write_png(chart, title, path)
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        return image.convert("RGB")


@pytest.mark.parametrize("make", [calibration_of, coverage_of])
@pytest.mark.parametrize("rows", [1, 40])
def test_a_curve_is_drawn_as_svg_in_which_nothing_runs(make: Any, rows: int):
    drawn = svg(data_uri(make(CONFIDENCES[:rows], CORRECT[:rows])))
    assert drawn.tag.endswith("svg")
    assert not {element.tag.rpartition("}")[2] for element in drawn.iter()} & {"script", "image"}


@pytest.mark.parametrize("make", [calibration_of, coverage_of])
def test_the_same_figures_make_the_same_svg(make: Any):
    assert data_uri(make(CONFIDENCES, CORRECT)) == data_uri(make(CONFIDENCES, CORRECT))


def test_a_calibration_curve_has_a_point_for_each_bin_and_the_diagonal():
    bins = [{"confidence": 0.3, "accuracy": 0.4, "rows": 5}]
    assert marks_of(calibration_curve(bins)) == ["line", "point"]
    diagonal, after = calibration_curve(bins).to_dict()["datasets"].values()
    assert (len(diagonal), len(after)) == (2, 1)
    assert [row["series"] for row in rows_of(calibration_curve(bins, bins))[2:]] == [
        "after calibration",
        "before calibration",
    ]


def test_a_confusion_matrix_has_counts_and_shares_of_the_true_label():
    chart = confusion_matrix([("B", "B", 3), ("B", "E", 1), ("E", "E", 2)])
    shares = {(row["true"], row["predicted"]): row["share"] for row in rows_of(chart)}
    assert shares == {("B", "B"): 0.75, ("B", "E"): 0.25, ("E", "E"): 1.0}
    assert marks_of(chart) == ["rect", "text"]


@pytest.mark.parametrize("labels", [5, 60])
def test_of_many_labels_the_most_frequent_are_shown(labels: int):
    rows = rows_of(confusion_matrix([(f"A{n:02}", f"A{n:02}", n + 1) for n in range(labels)]))
    assert len(rows) == min(labels, 20)
    assert max(row["patents"] for row in rows) == labels


def test_dense_and_stored_matrices_have_the_same_cells():
    stored = {"labels": 2, "cells": [[0, 0, 3], [1, 0, 1]]}
    assert confusion_cells("AB", stored) == confusion_cells("AB", [[3, 0], [1, 0]])


@pytest.mark.parametrize("labels", [2, 9, 130])
def test_the_picture_is_a_png_that_fits_a_screen(tmp_path: Path, labels: int):
    path = tmp_path / "confusion.png"
    image = picture(matrix_of(labels), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert 100 < image.width < 2200
    assert 100 < image.height < 2200
    assert path.stat().st_size < 500_000


def test_the_picture_shows_the_matrix(tmp_path: Path):
    diagonal = np.asarray(picture(matrix_of(9), tmp_path / "right.png"))
    shifted = np.asarray(picture(matrix_of(9, 1), tmp_path / "wrong.png"))
    assert diagonal.shape == shifted.shape
    assert (diagonal != shifted).any()
    # A whole row in one cell: dark blue must be there.
    dark = (diagonal[..., 2] > diagonal[..., 0] + 60) & (diagonal[..., 0] < 60)
    assert dark.mean() > 0.005


def test_the_same_figures_make_the_same_picture(tmp_path: Path):
    picture(matrix_of(3), tmp_path / "a.png")
    picture(matrix_of(3), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_labels_and_titles_are_text_and_nothing_else(tmp_path: Path):
    odd = "$\\bad{$</text><script>"
    picture(confusion_matrix([(odd, odd, 1)]), tmp_path / "odd.png", title=odd)
    drawn = svg(data_uri(confusion_matrix([(odd, odd, 1)])))
    assert not [element for element in drawn.iter() if element.tag.endswith("script")]
