"""Figures of one level as plain text tables. Knows columns, no verdict."""

from patclass.evaluation.intervals import Interval
from patclass.evaluation.level_report import LevelReport
from patclass.evaluation.metrics import Metrics

BASELINE_NAMES = {"tfidf": "TF-IDF + regression", "majority": "majority class"}

# More labels are no table for a terminal.
MAX_LABELS = 30


def level_text(level: str, report: LevelReport) -> str:
    """The model beside its baselines, a line each; ECE is shown before and after calibration."""
    title = f"{level[:11]}, {report.metrics.rows:,} rows"
    header = (
        f"{title:24}{'accuracy':>9}{'95%':>14}{'macro F1':>10}{'95%':>15}{'loss':>8}"
        f"{'raw ECE':>9}{'ECE':>7}"
    )
    model = (
        f"{'model':24}{report.metrics.accuracy:>9.1%}{_percent(report.accuracy_interval):>14}"
        f"{report.metrics.macro_f1:>10.3f}{_decimal(report.macro_f1_interval):>15}"
        f"{report.metrics.loss:>8.3f}{report.ece_raw:>9.3f}{report.ece:>7.3f}"
    )
    rivals = [
        _baseline(name, report.baselines[key])
        for key, name in BASELINE_NAMES.items()
        if key in report.baselines
    ]
    return "\n".join([header, model, *rivals])


def classes_text(metrics: Metrics) -> str:
    """A line of figures for each label."""
    lines = [f"{'label':24}{'precision':>10}{'recall':>10}{'F1':>10}{'rows':>8}"]
    lines += [
        f"{c.code[:23]:24}{c.precision:>10.3f}{c.recall:>10.3f}{c.f1:>10.3f}{c.support:>8}"
        for c in metrics.per_class
    ]
    return "\n".join(lines)


def confusion_text(metrics: Metrics) -> str:
    """The confusion matrix: a row for each true label, a column for each answer."""
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


def _percent(interval: Interval) -> str:
    return f"{interval.low * 100:.1f}-{interval.high:.1%}"


def _decimal(interval: Interval) -> str:
    return f"{interval.low:.3f}-{interval.high:.3f}"
