"""The model card: what the model is, where it comes from, how good it is."""

from patclass.bundle.description import Description, text_of
from patclass.cpc.tree import LabelTree
from patclass.data.language import language_names
from patclass.evaluation.report import Report

MAX_ROWS = 40

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
    lines = [f"- `{label.code}` {label.name}" for label in labels[:MAX_ROWS]]
    if len(labels) > MAX_ROWS:
        lines.append(f"- and {len(labels) - MAX_ROWS} more")
    lines += [f"- `{tag.code}` {tag.name} (an additional tag)" for tag in tree.tags]
    if len(tree.levels) > 1:
        lines.append(f"- below them {_sizes(tree)}, all in `labels.json`; rarer ones are `other`")
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
    for code, tag in report.tags.items():
        if tag.average_precision is not None:
            parts.append(
                f"Tag `{code}`: average precision {tag.average_precision:.2f} with {tag.carried} "
                f"of {tag.rows} rows carrying it; treat it as a hint."
            )
    return "\n\n".join(parts)
