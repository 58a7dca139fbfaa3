"""Scored rows of a small tree: the input of reports, without a model."""

import numpy as np
import pytest

from patclass.cpc.tree import LabelTree
from patclass.data.examples import UNKNOWN_LABEL, Corpus, Example, Facts
from patclass.data.text import TextView
from patclass.evaluation.report import Report, measure
from patclass.predictor.scored import Scored

PATHS = (("A", "A01"), ("A", "A61"), ("A",), ("B", "B31"))
WORDS = ("plough soil", "needle wound", "shoe sole", "wheel brake")
NODES = (("A",), ("A", "A01"), ("Y",))
TREE = LabelTree(
    ("section", "class"),
    PATHS,
    {code: code for path in (*PATHS, *NODES) for code in path},
    NODES,
)


def example(number: int, **facts: object) -> Example:
    """Row ``number`` of leaf ``number % 4``; "other" has a class that the tree lacks."""
    leaf = number % 4
    y_true = ((0, 0), (0, 1), (0, UNKNOWN_LABEL), (1, 2))[leaf]
    text = f"{WORDS[leaf]} number{number} " + "word " * (number % 7)
    return Example(
        f"P{number}", text, y_true, (leaf,), (2,) if number % 3 == 0 else (0, 1), Facts(**facts)
    )


def scored_rows(rows: list[Example], seed: int = 0) -> Scored:
    """Predictions that are mostly correct, and overconfident before calibration."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(len(rows), 4))
    logits[np.arange(len(rows)), [row.leaves[0] for row in rows]] += 2
    calibrated, raw = (np.exp(logits * inverse_temperatures) for inverse_temperatures in (1, 4))
    return Scored(
        rows,
        TREE,
        (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32),
        (calibrated / calibrated.sum(axis=1, keepdims=True)).astype(np.float32),
        generator.random((len(rows), 3)).astype(np.float32),
    )


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    spans = {"train": range(80), "validation": range(80, 100), "test": range(100, 180)}
    splits = {split: [example(n, year=2000 + n % 3) for n in span] for split, span in spans.items()}
    return Corpus("made up", TextView.parse("title", ["title"]), TREE, splits, ())


@pytest.fixture(scope="session")
def scored(corpus: Corpus) -> Scored:
    return scored_rows(corpus["test"])


@pytest.fixture(scope="session")
def report(scored: Scored, corpus: Corpus) -> Report:
    sets = {"section": np.ones((80, 2), dtype=bool)}
    return measure(scored, corpus, "test", ["section"], sets)
