"""The model on the shared patents with CPC or IPC codes: main codes, all codes, other texts.

Knows the files and what their codes mean.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from figures import Figure, answered, ece, ece_if_calibrated, estimated, share_of
from shared import QUICK_TRAINING, Bench

from patclass.core.settings import DataSettings
from patclass.core.types import FloatArray, Positions
from patclass.cpc.levels import SUBCLASS_DEPTH, code_path
from patclass.cpc.symbols import read_symbols
from patclass.cpc.tree import LabelTree, Path
from patclass.data.corpus import load_corpus
from patclass.data.examples import split_off
from patclass.data.table import Row
from patclass.evaluation.baselines import MultilabelTexts, tfidf_one_vs_rest
from patclass.evaluation.calibration import BoolArray, expected_calibration_error
from patclass.evaluation.intervals import bootstrap
from patclass.evaluation.metrics import evaluate
from patclass.evaluation.multilabel import (
    MultilabelMetrics,
    evaluate_multilabel_levels,
    label_matrix,
)
from patclass.inference.prediction import Options, path_to
from patclass.predictor.all_codes import AllCodes
from patclass.predictor.scored import LabelledPredictions, predictions_at, score_rows

# What the figures should reach, by level.
ACCURACY = {"section": 0.805, "class": 0.705, "subclass": 0.60}
MACRO_F1 = {"section": 0.775, "subclass": 0.44}
MOST_ECE = 0.02
ANSWERED = {"section": 0.64, "class": 0.44, "subclass": 0.27}
ANY_OF_2026 = {"section": 0.88, "class": 0.76, "subclass": 0.65}
CLAIMS = {"section": 0.82, "class": 0.63, "subclass": 0.50}
MULTILABEL_P1 = {"subclass": 0.80}
ABOVE_TFIDF = 0.05

VALIDATION_SHARE = 0.1

# Below, a code is as good as excluded, and most are: they would hide the error of the others.
LEAST_PROBABILITY = 0.05

# The order of codes of the rows whose lists are complete.
COMPLETE = "google_first"

_SENTENCE = re.compile(r"(?<=[.;!?])\s")


def main_codes(bench: Bench) -> Iterator[Figure]:
    """Accuracy, macro F1, calibration and coverage on the held-out patents."""
    view = str(bench.view)
    for level, found in _by_level(bench, "patents-test.parquet", view):
        rows = len(found.rows)
        yield _accuracy(level, found, ACCURACY)
        figure = evaluate(found.y_true, found.probabilities, found.codes).macro_f1
        spread = bootstrap(found.y_true, found.y_pred, len(found.codes)).macro_f1
        name = f"{level}, macro F1"
        yield Figure(name, figure, rows, spread, MACRO_F1.get(level), share=False)
        error, spread = ece(found)
        yield Figure(f"{level}, ECE", error, rows, spread, MOST_ECE, at_most=True, share=False)
        name = f"{level}, ECE of exact confidences"
        yield Figure(name, ece_if_calibrated(found), rows, share=False)
        own = bench.bundle.calibration.thresholds[level]
        sure = found.confidences >= own
        yield share_of(f"{level}, answered at the model's threshold", int(sure.sum()), rows)
        if sure.any():
            right = int(found.correct[sure].sum())
            yield share_of(f"{level}, precision of these answers", right, int(sure.sum()))
        part, spread = answered(found.confidences, found.correct)
        name = f"{level}, answered at 90 % precision"
        yield Figure(name, part, rows, spread, ANSWERED.get(level))


def claims(bench: Bench) -> Iterator[Figure]:
    """Main codes of claims instead of abstracts; one in Y, which is never an answer, is missed."""
    rows, tree = bench.rows("patents-test-claims.parquet"), bench.bundle.tree
    leaves = bench.run([bench.text_of(row) for row in rows], "claims").leaves
    for depth, level in enumerate(tree.levels):
        best = tree.sums(leaves, level).argmax(axis=1)
        pairs = [
            (main, tree.at(level)[int(label)].code)
            for main, label in zip((_main_code(row, depth) for row in rows), best, strict=True)
            if main is not None
        ]
        if not pairs:
            continue
        right = sum(main == answer for main, answer in pairs)
        yield share_of(f"{level}, accuracy", right, len(pairs), CLAIMS.get(level))
        answerable = sum(not main.startswith("Y") for main, _ in pairs)
        if answerable < len(pairs):
            yield share_of(f"{level}, accuracy without main codes in Y", right, answerable)


def _main_code(row: Row, depth: int) -> str | None:
    """The true label at a level; sections are known of rows without a main code as well."""
    if depth == 0:
        return row.fields["section"] or None
    path = next(paths_of([row.fields["main_code"] or ""]), ())
    return path[depth] if depth < len(path) else None


def views(bench: Bench) -> Iterator[Figure]:
    """Main codes of the held-out patents from less text than usual, or other text."""
    for name, view, shorten in (
        ("title only", "title", str),
        ("one sentence", "abstract", first_sentence),
        ("claims", "claims", str),
    ):
        for level, found in _by_level(bench, "patents-test.parquet", view, shorten):
            yield replace(_accuracy(level, found), name=f"{name}: {level}, accuracy")


def first_sentence(text: str) -> str:
    """A text up to the end of its first sentence."""
    return _SENTENCE.split(text, maxsplit=1)[0]


def _by_level(
    bench: Bench, name: str, view: str, shorten: Callable[[str], str] = str
) -> Iterator[tuple[str, LabelledPredictions]]:
    """Predictions for the rows of a file whose main code is known, level by level."""
    tree = bench.bundle.tree
    data = DataSettings(data=str(bench.path(name)), labels="cpc", text=view)
    rows = bench.some(load_corpus(data, tree, test_only=True)["test"])
    rows = [replace(row, text=shorten(row.text)) for row in rows]
    scored = score_rows(bench.pipeline, rows, f"{name}, {view}")
    for level in tree.levels:
        found = predictions_at(rows, scored.calibrated, tree, level)
        if found is not None:
            yield level, found


def _accuracy(
    level: str, found: LabelledPredictions, bounds: Mapping[str, float] | None = None
) -> Figure:
    bound = (bounds or {}).get(level)
    return share_of(f"{level}, accuracy", int(found.correct.sum()), len(found.rows), bound)


@dataclass(frozen=True)
class Carried:
    """The codes that rows carry, as columns: first those that the model knows, then others.

    :param codes: of the columns.
    :param depths: the level of each column, shape (columns,).
    :param y_true: shape (rows, columns).
    """

    codes: tuple[str, ...]
    depths: Positions
    y_true: BoolArray

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]], known: Sequence[Path], levels: int) -> "Carried":
        """Of each row's symbols, with all that stands above them.

        :param known: the paths that the model has scores for.
        :param levels: how many levels count; what is finer is cut.
        """
        paths = [{path[:levels] for path in paths_of(symbols)} for symbols in rows]
        carried = [
            {path[:depth] for path in row for depth in range(1, len(path) + 1)} for row in paths
        ]
        columns = list(dict.fromkeys([*known, *sorted(set().union(*carried))]))
        place = {path: number for number, path in enumerate(columns)}
        y_true = label_matrix([[place[path] for path in row] for row in carried], len(columns))
        depths = np.array([len(path) - 1 for path in columns])
        return cls(tuple(path[-1] for path in columns), depths, y_true)

    def padded(self, scores: FloatArray) -> FloatArray:
        """Scores of the paths that the model knows, followed by those of the others: none.

        :param scores: shape (rows, known paths).
        """
        others = np.full((len(scores), len(self.codes) - scores.shape[1]), -np.inf)
        return np.hstack([scores, others], dtype=np.float32)


def nodes_of(tree: LabelTree) -> list[Path]:
    """The path of each label, level by level."""
    return [path_to(tree, level, label.code) for level in tree.levels for label in tree.at(level)]


def paths_of(symbols: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Each symbol with the codes above it, coarsest first."""
    for symbol in read_symbols(list(symbols)).symbols:
        yield code_path(symbol.text)


def of_2026(bench: Bench) -> Iterator[Figure]:
    """Patents of 2026: the first answer is right if it is any of the codes."""
    yield from _any_of(bench, bench.rows("patents-test-2026.parquet"), ANY_OF_2026)


def languages(bench: Bench) -> Iterator[Figure]:
    """German and French: how many are told apart, and how many answers claim to be sure."""
    rows = bench.rows("patents-test-languages.parquet")
    answers = bench.classifier.classify([row.fields for row in rows], Options())
    warned = sum(any(w.code == "other_language" for w in a.warnings) for a in answers)
    sure = sum(answer.sure for answer in answers)
    yield share_of("with a warning of the language", warned, len(rows), 1.0)
    yield share_of("sure", sure, len(rows), 0.0, at_most=True)
    yield from _any_of(bench, rows, {})


def _any_of(bench: Bench, rows: Sequence[Row], bounds: Mapping[str, float]) -> Iterator[Figure]:
    for level, found in ranked_by_main_code(bench, rows).items():
        name, bound = f"{level}, any of its codes", bounds.get(level)
        yield estimated(name, found.precision_at[1], found.rows, bound)


def ranked_by_main_code(bench: Bench, rows: Sequence[Row]) -> dict[str, MultilabelMetrics]:
    """All codes of rows, compared with the ranking by the probability of being the main one."""
    tree = bench.bundle.tree
    carried = Carried.of(_codes_of(rows), nodes_of(tree), len(tree.levels))
    leaves = bench.run([bench.text_of(row) for row in rows], "all codes").leaves
    scores = carried.padded(np.hstack([tree.sums(leaves, level) for level in tree.levels]))
    return evaluate_multilabel_levels(tree.levels, carried.depths, carried.y_true, scores)


def by_all_codes(
    tree: LabelTree, fitted: AllCodes, carried: Carried, nodes: FloatArray
) -> dict[str, MultilabelMetrics]:
    """All codes of rows, compared with the probabilities of all codes and those that are given."""
    scores = carried.padded(nodes)
    given = np.zeros(scores.shape, dtype=np.bool_)
    given[:, : nodes.shape[1]] = fitted.given(tree, nodes)
    return evaluate_multilabel_levels(tree.levels, carried.depths, carried.y_true, scores, given)


def calibration_of_codes(tree: LabelTree, carried: Carried, nodes: FloatArray) -> Iterator[Figure]:
    """Calibration error of the probabilities of all codes, of those that are not nearly zero."""
    y_true = carried.y_true[:, : nodes.shape[1]]
    for depth, level in enumerate(tree.levels):
        asked = (tree.node_depths == depth) & (nodes >= LEAST_PROBABILITY)
        error = expected_calibration_error(nodes[asked], y_true[asked])
        yield Figure(f"{level}, ECE of all codes", error, int(asked.sum()), share=False)


def _codes_of(rows: Sequence[Row]) -> list[list[str]]:
    return [row.fields["codes"] for row in rows]


def multilabel(bench: Bench) -> Iterator[Figure]:
    """All codes of a patent, beside one regression on TF-IDF for each of them.

    The ranking alone, by the probability of the main code, if the model knows no other.
    """
    rows = bench.rows("patents-test-multilabel.parquet")
    fitted = bench.pipeline.components.get(AllCodes)
    calibration: list[Figure] = []
    if fitted is None:
        model = ranked_by_main_code(bench, rows)
    else:
        tree = bench.bundle.tree
        carried = Carried.of(_codes_of(rows), tree.nodes, len(tree.levels))
        nodes = bench.run([bench.text_of(row) for row in rows], "all codes").nodes
        model = by_all_codes(tree, fitted, carried, nodes)
        calibration = list(calibration_of_codes(tree, carried, nodes))
    for level, found in model.items():
        yield from _multilabel(level, found, MULTILABEL_P1.get(level))
    yield from calibration
    for level, beside in one_vs_rest(bench, rows).items():
        yield from _multilabel(f"TF-IDF, {level}", beside)
        own = model[level].micro_f1
        if own is not None and beside.micro_f1 is not None:
            gain = own.value - beside.micro_f1.value
            yield Figure(f"{level}, micro F1 above TF-IDF", gain, beside.rows, bound=ABOVE_TFIDF)


def _multilabel(
    name: str, found: MultilabelMetrics, bound: float | None = None
) -> Iterator[Figure]:
    yield estimated(f"{name}, P@1", found.precision_at[1], found.rows, bound)
    others = {
        **{f"P@{k}": value for k, value in found.precision_at.items() if k > 1},
        **{f"R@{k}": value for k, value in found.recall_at.items()},
        "nDCG@5": found.ndcg_at_5,
        "micro F1": found.micro_f1,
        "macro F1": found.macro_f1,
        "example F1": found.example_f1,
    }
    for figure, value in others.items():
        if value is not None:
            yield estimated(f"{name}, {figure}", value, found.rows)
    yield estimated(f"{name}, coverage error", found.coverage_error, found.rows, share=False)


def one_vs_rest(bench: Bench, rows: Sequence[Row]) -> dict[str, MultilabelMetrics]:
    """The baseline, fitted on the training rows whose lists of codes are complete."""
    every = bench.all_rows("patents-more-train.parquet")
    complete = [
        row
        for row in every
        # Of some patents the source has the first code only.
        if row.fields["order"] == COMPLETE and len(set(row.fields["codes"])) > 1
    ]
    complete = bench.some(complete, QUICK_TRAINING)
    both = [*complete, *rows]
    texts = [bench.text_of(row) for row in both]
    # A regression for each of the many finer codes would take hours.
    levels = bench.bundle.tree.levels[:SUBCLASS_DEPTH]
    carried = Carried.of(_codes_of(both), [], len(levels))
    strata = [0] * len(complete)
    kept, held_out = split_off(strata, texts[: len(complete)], VALIDATION_SHARE, 0)
    unseen = range(len(complete), len(both))
    train, validation, test = (
        MultilabelTexts([texts[place] for place in places], carried.y_true[list(places)])
        for places in (kept, held_out, unseen)
    )
    return tfidf_one_vs_rest(train, validation, test, levels, carried.depths)
