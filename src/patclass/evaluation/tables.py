"""Figures of a report as plain text tables. Knows figures, not how they come about."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from patclass.evaluation.intervals import Interval
from patclass.evaluation.metrics import Metrics
from patclass.evaluation.multilabel import MultilabelMetrics

if TYPE_CHECKING:
    from patclass.evaluation.report import LevelReport

BASELINE_NAMES = {"tfidf": "TF-IDF + regression", "majority": "majority class"}

# More labels are no table for a terminal.
MAX_LABELS = 30


def level_text(level: str, report: "LevelReport") -> str:
    """The model and its baselines, a line each; ECE before and after calibration."""
    title = f"{level[:11]}, {report.metrics.rows:,} rows"
    header = (
        f"{title:24}{'accuracy':>9}{'95%':>14}{'macro F1':>10}{'95%':>15}{'loss':>8}"
        f"{'raw ECE':>9}{'ECE':>7}"
    )
    model = (
        f"{'model':24}{report.metrics.accuracy:>9.1%}{as_percent(report.accuracy_interval):>14}"
        f"{report.metrics.macro_f1:>10.3f}{as_decimal(report.macro_f1_interval):>15}"
        f"{report.metrics.loss:>8.3f}{report.ece_raw:>9.3f}{report.ece:>7.3f}"
    )
    baselines = [
        _baseline(name, report.baselines[key])
        for key, name in BASELINE_NAMES.items()
        if key in report.baselines
    ]
    return "\n".join([header, model, *baselines])


def classes_text(metrics: Metrics) -> str:
    """A line of figures for each label."""
    lines = [f"{'label':24}{'precision':>10}{'recall':>10}{'F1':>10}{'rows':>8}"]
    lines += [
        f"{c.code[:23]:24}{c.precision:>10.3f}{c.recall:>10.3f}{c.f1:>10.3f}{c.support:>8}"
        for c in metrics.per_class
    ]
    return "\n".join(lines)


def confusion_text(metrics: Metrics) -> str:
    """The confusion matrix: a row for each true label, a column for each prediction."""
    codes = [c.code for c in metrics.per_class]
    width = max(5, *(len(code[:12]) + 1 for code in codes))
    cells = [
        f"{code[:12]:12}" + "".join(f"{count:>{width}}" for count in row)
        for code, row in zip(codes, metrics.confusion, strict=True)
    ]
    header = f"{'true / pred.':12}" + "".join(f"{code[:12]:>{width}}" for code in codes)
    return "\n".join([header, *cells])


def _baseline(name: str, metrics: Metrics) -> str:
    return (
        f"{name:24}{metrics.accuracy:>9.1%}{'':14}{metrics.macro_f1:>10.3f}{'':15}"
        f"{metrics.loss:>8.3f}"
    )


def codes_text(
    levels: Mapping[str, MultilabelMetrics], baselines: Mapping[str, MultilabelMetrics]
) -> str:
    """Figures of all codes by level, each with those of its baseline, if there is one."""
    header = (
        f"{'all codes':24}{'rows':>8}{'P@1':>8}{'P@3':>8}{'P@5':>8}{'R@10':>8}{'nDCG@5':>8}"
        f"{'micro F1':>10}{'macro F1':>10}{'row F1':>8}"
    )
    lines = [header]
    for level, found in levels.items():
        lines.append(_codes_line(level, found))
        if level in baselines:
            lines.append(_codes_line("  TF-IDF one versus rest", baselines[level]))
    return "\n".join(lines)


def _codes_line(name: str, found: MultilabelMetrics) -> str:
    ranks = (*(found.precision_at[k] for k in (1, 3, 5)), found.recall_at[10], found.ndcg_at_5)
    shares = "".join(f"{estimate.value:>8.3f}" for estimate in ranks)
    f1s = ((found.micro_f1, 10), (found.macro_f1, 10), (found.example_f1, 8))
    chosen = "".join(f"{f1.value:>{width}.3f}" for f1, width in f1s if f1 is not None)
    return f"{name[:24]:24}{found.rows:>8,}{shares}{chosen}"


def as_percent(interval: Interval) -> str:
    """``63.1-65.0%``."""
    return f"{interval.low * 100:.1f}-{interval.high:.1%}"


def as_decimal(interval: Interval) -> str:
    """``0.631-0.650``."""
    return f"{interval.low:.3f}-{interval.high:.3f}"
