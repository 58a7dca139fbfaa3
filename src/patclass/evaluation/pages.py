"""An evaluation as documents: the report's page and the model card. Knows figures, no row.

The page is HTML that refers to nothing outside; every figure of both comes from the report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from patclass.bundle.description import Description, text_of
from patclass.core.html import template
from patclass.cpc.scheme import official_title
from patclass.cpc.symbols import LEVELS
from patclass.cpc.tree import LabelTree
from patclass.data.language import language_names
from patclass.evaluation.calibration import OperatingPoint
from patclass.evaluation.charts import calibration_curve, coverage_curve, data_uri
from patclass.evaluation.intervals import Interval
from patclass.evaluation.metrics import ClassMetrics, ConfusedPair, Metrics, Slice, confused_pairs
from patclass.evaluation.report import LevelReport, Report
from patclass.evaluation.tables import BASELINE_NAMES, MAX_LABELS

# All labels are shown up to this number; of more, the weakest and the best ones.
MAX_CLASSES = 40
EXTREMES = 20

# Precision and recall on fewer rows say nothing of a label.
MIN_ROWS = 10


@dataclass(frozen=True)
class LevelView:
    """One level as the page shows it."""

    name: str
    report: LevelReport

    @property
    def metrics(self) -> Metrics:
        """Figures of the model."""
        return self.report.metrics

    @cached_property
    def groups(self) -> dict[str, list[ClassMetrics]]:
        """Labels to show, under the name of their group."""
        return class_groups(self.metrics.per_class)

    @cached_property
    def titles(self) -> dict[str, str]:
        """Official titles of the labels by code; empty if they are no CPC codes."""
        return official_titles(self.name, [c.code for c in self.metrics.per_class])

    @property
    def long_codes(self) -> bool:
        """Whether codes, side by side, would make the matrix too wide."""
        return any(len(c.code) > len("A01B") for c in self.metrics.per_class)

    @property
    def matrix(self) -> bool:
        """Whether the confusion matrix is small enough to be shown."""
        return len(self.metrics.per_class) <= MAX_LABELS

    @cached_property
    def confused(self) -> list[ConfusedPair]:
        """The most frequent mistakes."""
        return confused_pairs(self.metrics.confusion, [c.code for c in self.metrics.per_class])

    @cached_property
    def reliability_svg(self) -> str:
        """The reliability diagram as a data URI."""
        after, before = self.report.reliability, self.report.reliability_raw
        bins = [[bin.model_dump() for bin in each] for each in (after, before)]
        return data_uri(calibration_curve(*bins))

    @cached_property
    def coverage_svg(self) -> str:
        """The risk–coverage curve as a data URI."""
        points = [point.model_dump() for point in self.report.risk_coverage.points]
        return data_uri(coverage_curve(points))

    @property
    def slices(self) -> dict[str, list[Slice]]:
        """Slices by kind."""
        kinds = groupby(self.report.slices, lambda part: part.kind)
        return {kind: list(parts) for kind, parts in kinds}

    @property
    def at_90(self) -> OperatingPoint | None:
        """The operating point with 90 % precision."""
        return next((p for p in self.report.operating_points if p.target == 0.9), None)

    @property
    def baselines(self) -> dict[str, Metrics]:
        """Baselines by their display names."""
        known = self.report.baselines
        return {name: known[key] for key, name in BASELINE_NAMES.items() if key in known}


def html_report(report: Report, title: str, facts: Mapping[str, str]) -> str:
    """The report as a self-contained HTML page, the same bytes for the same figures.

    :param title: heading of the page.
    :param facts: what else to say of the model and its data, by name.
    """
    levels = [LevelView(name, level) for name, level in report.levels.items()]
    page = template("evaluation", "report.html.j2", {"interval": _interval, "figure": _figure})
    return page.render(report=report, title=title, facts=facts, levels=levels)


def official_titles(level: str, codes: Sequence[str]) -> dict[str, str]:
    """CPC titles by code, of a CPC level or of codes that are all of CPC.

    Among other labels, one that looks like a code must not get a title that it does not have.
    """
    found = {code: title for code in codes if (title := official_title(code))}
    return found if level in LEVELS or len(found) == len(codes) else {}


def class_groups(classes: Sequence[ClassMetrics]) -> dict[str, list[ClassMetrics]]:
    """All labels with rows if they are few; else the weakest and best ones with enough rows."""
    there = [c for c in classes if c.support]
    if len(classes) <= MAX_CLASSES:
        return {"": there}
    ranked = sorted((c for c in there if c.support >= MIN_ROWS), key=lambda c: c.f1)
    if len(ranked) <= 2 * EXTREMES:
        return {f"All labels with at least {MIN_ROWS} rows, the weakest first": ranked}
    return {
        f"The {EXTREMES} weakest labels with at least {MIN_ROWS} rows": ranked[:EXTREMES],
        f"The {EXTREMES} best": ranked[: -EXTREMES - 1 : -1],
    }


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{100 * interval.low:.1f}–{interval.high:.1%}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


MAX_LISTED = 40

# A label with fewer test rows is not called weak: its figure is luck.
MIN_SUPPORT = 5


def model_card(description: Description, tree: LabelTree, report: Report | None) -> str:
    """The model card in Markdown; every figure in it comes from the run itself."""
    data, text = description.data, description.text
    rows = ", ".join(f"{split} {count}" for split, count in data.rows.items())
    parts = [
        f"# Patent classifier: {_sizes(tree)}",
        f"{_made_of(description)}, made with patclass {description.patclass} on "
        f"{description.created}.",
        *_parity(description),
        "## Use",
        '```\npatclass predict "text of a patent" --model THIS_FOLDER\n'
        "patclass verify THIS_FOLDER\n```",
        "## Data",
        f"Source: `{data.source}`. Usable rows: {rows}. Text: `{text.view}`, {text.max_tokens} "
        f"tokens at a time (`{text.truncation}`). Languages: "
        f"{language_names(data.languages) or 'not known'}. Fingerprint: `{data.fingerprint}`.",
        _rejects(data.rejects),
        "## Labels",
        _labels(tree),
        "## Figures",
        _figures(report, description.interrupted),
        "## Limits",
        _limits(tree),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _made_of(description: Description) -> str:
    base, engine = description.base, description.engine
    tuned = f"`{base.name}`{f' at revision `{base.revision}`' if base.revision else ''}"
    if engine is not None:
        return (
            f"Exported ({engine.kind}, {engine.weights}): {tuned} with its LoRA adapter merged in"
        )
    packed = " (packed, inside this bundle)" if base.embedded else ""
    return f"LoRA adapter and head on {tuned}{packed}"


def _parity(description: Description) -> list[str]:
    """How near an exported model is to its original."""
    if description.engine is None:
        return []
    return [
        "## Compared with the original",
        f"```\n{text_of(description.engine.parity)}\n```",
        "The figures further down are those of the original.",
    ]


def _sizes(tree: LabelTree) -> str:
    return ", ".join(f"{len(tree.at(level))} labels ({level})" for level in tree.levels)


def _labels(tree: LabelTree) -> str:
    labels = tree.at(tree.levels[0]).labels
    lines = [f"- `{label.code}` {label.name}" for label in labels[:MAX_LISTED]]
    if len(labels) > MAX_LISTED:
        lines.append(f"- and {len(labels) - MAX_LISTED} more")
    if len(tree.levels) > 1:
        lines.append(f"- below them {_sizes(tree)}, all in `labels.json`; rarer ones are `other`")
    if tree.nodes:
        lines.append(f"- beside the main code, {len(tree.nodes)} codes of all levels")
    return "\n".join(lines)


def _limits(tree: LabelTree) -> str:
    return (
        f"The model knows only the labels above and always names one of them at the "
        f"{tree.levels[0]} level, also for texts that belong to none; it warns where a text is "
        "unlike those it has learnt from. Its confidences are calibrated on patents like its "
        "own validation rows; on others they are a guess. Use it to sort, to search and to "
        "propose; not to decide alone on classification of record, on patentability, on "
        "infringement or about a person. It is no substitute for an examiner's decision."
    )


def _rejects(rejects: dict[str, int]) -> str:
    if not rejects:
        return "No row was rejected."
    return "Rejected rows:\n\n" + "\n".join(f"- {why}: {count}" for why, count in rejects.items())


def _figures(report: Report | None, interrupted: bool) -> str:
    if report is None:
        why = "the run was interrupted" if interrupted else "it was not evaluated"
        return f"None: {why}. Measure it with `patclass evaluate`."
    parts = [f"```\n{report.text()}\n```", "![confusion matrix](confusion.png)"]
    for level, found in report.levels.items():
        classes = [c for c in found.metrics.per_class if c.support >= MIN_SUPPORT]
        weakest = sorted(classes, key=lambda c: c.f1)[:5]
        names = ", ".join(f"`{c.code}` (F1 {c.f1:.2f}, {c.support} rows)" for c in weakest)
        parts.append(f"Weakest at level {level}: {names or 'too few rows to say'}.")
    return "\n\n".join(parts)
