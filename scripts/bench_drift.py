"""How often drift raises an alert on real patents: without a shift, and with one.

    python scripts/bench_drift.py [--windows N]

The shipped model answers the shared validation and test rows once; build/bench-drift keeps that.
Windows are drawn from the test rows with replacement; the reference is the bundle's own, made of
the validation rows. A shift draws one section ten points more often than it is. "Other references"
deals the rows of both splits out twenty times, half for a reference, windows from the rest.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from patclass.core.settings import WINDOW, DataSettings
from patclass.data.corpus import load_corpus
from patclass.inference import Classifier, load
from patclass.monitoring.drift import SIGNALS, SignalValues, shifts_of
from patclass.predictor.drift_reference import DriftReference

ROOT = Path(__file__).resolve().parents[1]
PATENTS = ROOT / "build" / "patents"  # 'make build/patents' links the shared ones
KEPT = ROOT / "build" / "bench-drift"
SIZES = (250, 500, 1000, WINDOW)
POINTS = 0.10
DEALS = 20
AT_ONCE = 64


@dataclass(frozen=True)
class Rows:
    """Answers at the coarsest level, one value for each row with a known truth."""

    y_pred: npt.NDArray[np.int64]
    y_true: npt.NDArray[np.int64]
    source: npt.NDArray[np.str_]
    confidences: npt.NDArray[np.float32]
    chars: npt.NDArray[np.float32]
    oov_rate: npt.NDArray[np.float32]
    novelty: npt.NDArray[np.float32]

    def take(self, places: npt.NDArray[np.intp]) -> "Rows":
        """Some of the rows."""
        return Rows(*(column[places] for column in vars(self).values()))

    def columns(self, labels: int) -> SignalValues:
        """As a window that is compared with a reference of so many labels."""
        counts = np.bincount(self.y_pred, minlength=labels).astype(np.int64)
        return SignalValues(counts, self.confidences, self.chars, self.oov_rate, self.novelty)

    @property
    def gap(self) -> float:
        """By how much the estimated accuracy differs from the true one."""
        return float(self.confidences.mean() - (self.y_pred == self.y_true).mean())


# What a window is compared with, and the window.
Pair = tuple[DriftReference, Rows]


def main() -> None:
    """Print three tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=1000)
    wanted: int = parser.parse_args().windows
    if not PATENTS.is_dir():
        raise SystemExit(f"this benchmark needs the shared patents in {PATENTS}")
    classifier = load("shipped")
    reference = classifier.bundle.reference
    if reference is None:
        raise SystemExit("the shipped model has no reference; run 'patclass monitor reference'")
    test = answers(classifier, "test")
    validation = answers(classifier, "validation")
    print_alerts(reference, validation, test, wanted)
    print_gaps(reference, validation, test, wanted)


def answers(classifier: Classifier, split: str) -> Rows:
    """What the model answers to the rows of a split, from the file if they are there."""
    path = KEPT / f"{split}-{classifier.bundle.fingerprint}.npz"
    if not path.is_file():
        KEPT.mkdir(parents=True, exist_ok=True)
        np.savez(path, **vars(answer(classifier, split)))
    with np.load(path) as kept:
        return Rows(*(kept[field.name] for field in fields(Rows)))


def answer(classifier: Classifier, split: str) -> Rows:
    data = DataSettings(data=str(PATENTS), labels="cpc", text=str(classifier.view))
    rows = [row for row in load_corpus(data, classifier.tree)[split] if row.y_true[0] is not None]
    starts = tqdm(range(0, len(rows), AT_ONCE), desc=f"answering {split}", disable=None)
    parts = [classifier.classify([row.text for row in rows[n : n + AT_ONCE]]) for n in starts]
    found = [prediction for part in parts for prediction in part]
    level = classifier.tree.levels[0]
    labels = classifier.tree.at(level)
    return Rows(
        np.array([labels.index(p.levels[level].label) for p in found]),
        np.array([row.y_true[0] for row in rows]),
        np.array([row.facts.source or "" for row in rows]),
        np.array([p.levels[level].confidence for p in found], dtype=np.float32),
        np.array([len(p.text) for p in found], dtype=np.float32),
        np.array([p.signals.oov_rate for p in found], dtype=np.float32),
        np.array([p.signals.novelty for p in found], dtype=np.float32),
    )


def drawn(rows: Rows, size: int, windows: int, weights: npt.ArrayLike | None) -> Iterator[Rows]:
    """Windows of rows, drawn with replacement."""
    random = np.random.default_rng(0)
    for _ in range(windows):
        yield rows.take(random.choice(len(rows.y_pred), size, p=weights))


def more_of(rows: Rows, section: int) -> npt.NDArray[np.float64]:
    """Weights under which a true section is drawn ten points more often."""
    inside = rows.y_true == section
    share = inside.mean()
    weights = np.where(inside, (share + POINTS) / share, (1 - share - POINTS) / (1 - share))
    return np.asarray(weights / weights.sum())


def dealt(reference: DriftReference, rows: Rows, size: int, windows: int) -> Iterator[Pair]:
    """Windows without a row drawn twice, with references of other rows of the same kind."""
    random = np.random.default_rng(0)
    level = reference.levels[0]
    for _ in range(DEALS):
        half, rest = np.array_split(random.permutation(len(rows.y_pred)), 2)
        usual = rows.take(half)
        other = replace(
            reference,
            predictions={**reference.predictions, level: usual.y_pred.astype(np.int32)},
            confidences={**reference.confidences, level: usual.confidences},
            **{name: getattr(usual, name) for name in ("chars", "oov_rate", "novelty")},
        )
        for _ in range(windows // DEALS):
            yield other, rows.take(random.choice(rest, size, replace=False))


def alert_rates(pairs: Iterable[Pair]) -> list[str]:
    """The share of windows that raise an alert, and that of each signal."""
    alerts = [
        [s.signal for s in shifts_of(reference, window.columns(labels_of(reference))) if s.alert]
        for reference, window in pairs
    ]
    counted = Counter(signal for found in alerts for signal in found)
    shares = [sum(map(bool, alerts)), *(counted[signal] for signal in SIGNALS)]
    return [percent(share / len(alerts)) for share in shares]


def labels_of(reference: DriftReference) -> int:
    return len(reference.codes[reference.levels[0]])


def print_alerts(reference: DriftReference, validation: Rows, test: Rows, windows: int) -> None:
    counts = f"of {windows:,} without a shift, of {windows // 5:,} with one"
    print(f"Windows that raise an alert, {counts}\n")
    print(row_of("mix", "window", "any", *SIGNALS))
    print(row_of(*["---"] * (3 + len(SIGNALS))))
    columns = zip(vars(validation).values(), vars(test).values(), strict=True)
    both = Rows(*map(np.concatenate, columns))
    for size in SIZES:
        usual = drawn(test, size, windows, None)
        print(row_of("as it is", size, *alert_rates((reference, window) for window in usual)))
    for size in SIZES:
        found = alert_rates(dealt(reference, both, size, windows))
        print(row_of("other references", size, *found), flush=True)
    for name, rows, weights in shifts(reference, test):
        for size in SIZES:
            live = drawn(rows, size, windows // 5, weights)
            found = alert_rates((reference, window) for window in live)
            print(row_of(name, size, *found), flush=True)


def shifts(reference: DriftReference, test: Rows) -> list[tuple[str, Rows, npt.ArrayLike | None]]:
    """More of a section, by name, and rows of one source alone."""
    sections = enumerate(reference.codes[reference.levels[0]])
    sources = sorted(set(test.source.tolist()))
    return [
        *((f"{code} + 10", test, more_of(test, place)) for place, code in sections),
        *((name, test.take(np.flatnonzero(test.source == name)), None) for name in sources),
    ]


def print_gaps(reference: DriftReference, validation: Rows, test: Rows, windows: int) -> None:
    """Mean distance of estimated and true accuracy over windows, in points."""
    print("\nEstimated and true accuracy of sections, windows of the usual size\n")
    print(row_of("of", "rows", "accuracy", "estimated", "mean gap of windows"))
    print(row_of(*["---"] * 5))
    usual = [("validation", validation, None), ("test", test, None)]
    for name, rows, weights in [*usual, *shifts(reference, test)]:
        found = list(drawn(rows, WINDOW, windows, weights))
        accuracy = np.mean([(window.y_pred == window.y_true).mean() for window in found])
        estimated = np.mean([window.confidences.mean() for window in found])
        gap = np.mean([abs(window.gap) for window in found])
        print(
            row_of(
                name, len(rows.y_pred), percent(accuracy), percent(estimated), f"{100 * gap:.1f}"
            )
        )


def row_of(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def percent(share: float) -> str:
    return f"{share:.1%}"


if __name__ == "__main__":
    main()
