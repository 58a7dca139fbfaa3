"""The model card: what the model is, where it comes from, how good it is."""

from patclass.bundle.layout import Description
from patclass.evaluation.report import Report
from patclass.labels import LabelSet

MAX_ROWS = 40


def model_card(description: Description, labels: LabelSet, report: Report | None) -> str:
    """Markdown for people; every figure in it comes from the run itself."""
    base, data, text = description.base, description.data, description.text
    rows = ", ".join(f"{split} {count}" for split, count in data.rows.items())
    parts = [
        f"# Patent classifier with {len(labels)} labels",
        f"LoRA adapter and head on `{base.name}`"
        f"{f' at revision `{base.revision}`' if base.revision else ''}, made with patclass "
        f"{description.patclass} on {description.created}.",
        "## Use",
        '```\npatclass predict "text of a patent" --model THIS_FOLDER\n'
        "patclass verify THIS_FOLDER\n```",
        "## Data",
        f"Source: `{data.source}`. Usable rows: {rows}. Text: `{text.view}`, the first "
        f"{text.max_tokens} tokens. Fingerprint: `{data.fingerprint}`.",
        _rejects(data.rejects),
        "## Labels",
        "\n".join(f"- `{label.code}` {label.name}" for label in labels.labels[:MAX_ROWS])
        + (f"\n- and {len(labels) - MAX_ROWS} more" if len(labels) > MAX_ROWS else ""),
        "## Figures",
        _figures(report, description.interrupted),
        "## Limits",
        "The model knows only the labels above and always names one of them, also for texts "
        "that belong to none. Its confidences are not calibrated. It reads the head of a text "
        "only. It is no substitute for an examiner's decision.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rejects(rejects: dict[str, int]) -> str:
    if not rejects:
        return "No row was rejected."
    return "Rejected rows:\n\n" + "\n".join(f"- {why}: {count}" for why, count in rejects.items())


def _figures(report: Report | None, interrupted: bool) -> str:
    if report is None:
        why = "the run was interrupted" if interrupted else "it was not evaluated"
        return f"None: {why}. Measure it with `patclass evaluate`."
    weakest = sorted((c for c in report.model.per_class if c.support), key=lambda c: c.f1)[:3]
    names = ", ".join(f"`{c.code}` (F1 {c.f1:.2f}, {c.support} rows)" for c in weakest)
    return f"```\n{report.text()}\n```\n\n![confusion matrix](confusion.png)\n\nWeakest: {names}."
