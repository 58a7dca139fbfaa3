"""``patclass evaluate``, ``compare`` and ``audit``: figures of models and of labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import (
    bundle_argument,
    device_option,
    open_bundle,
    output_option,
    settings_options,
    split_option,
)
from patclass.core.settings import DATA_FORMS, TABLE_SETTINGS, TrainSettings

if TYPE_CHECKING:
    from patclass.bundle import Bundle
    from patclass.bundle.description import Description
    from patclass.data.examples import Corpus
    from patclass.evaluation.report import Report

_OF_TRAINING = {"data": "that of the training", "labels": "those of the training"}
_TESTED_ON = {"data": f"Patents to test on: {DATA_FORMS}."}


@click.command()
@bundle_argument
@split_option
@output_option(
    "Also write the report: name one of .html and .json, both are written.", required=False
)
@click.option(
    "--baselines",
    metavar="LEVELS",
    help="Levels at which the baselines are fitted, comma-separated; deeper ones take longer.  "
    "[default: the coarsest]",
)
@settings_options(
    TrainSettings,
    *("data", "labels", *TABLE_SETTINGS, "test_rows", "truncation"),
    defaults=_OF_TRAINING | {"truncation": "that of the model"},
    helps=_TESTED_ON,
)
@device_option
def evaluate(
    bundle: str | None,
    split: str,
    output: Path | None,
    baselines: str | None,
    device: str,
    **flags: Any,
) -> int:
    """Evaluate BUNDLE (a folder, or 'shipped') on labelled patents, compared with two baselines.

    Reports accuracy with confidence intervals, calibration, label sets, slices and confusions at
    every level. The baselines, majority class and TF-IDF + logistic regression, are fitted on the
    train split of the same data; without one, the model is compared with nothing. Of other data
    than that of the training, a file is tested on with all its rows. Without --data, or with the
    file of the training, the rows that the training held out are used. Exit code 1 if the model
    does not beat the baselines, or is no better than guessing.

    \b
        patclass evaluate final_model -o report.html
        patclass evaluate final_model --data patents/ --baselines section,class
    """
    from dataclasses import replace

    import sklearn  # noqa: F401  (where it is missing, that is said before any work)

    from patclass.core.errors import ConfigError
    from patclass.core.files import check_writable
    from patclass.evaluation.report import measure
    from patclass.inference.prediction import check_level
    from patclass.predictor.scored import label_sets, score_rows

    if output is not None:
        if output.suffix not in (".html", ".json"):
            raise ConfigError(
                f"output {output}: expected a name that ends in .html or .json.", setting="output"
            )
        check_writable(output)
    opened = open_bundle(bundle)
    usual = {"truncation": opened.description.text.truncation}
    truncation = {"truncation": flags.pop("truncation")}
    answer = TrainSettings.load(truncation, environment={}, defaults=usual).answer
    levels = [name.strip() for name in (baselines or opened.tree.levels[0]).split(",")]
    for level in levels:
        check_level(opened.tree, level)
    corpus = _test_corpus(opened, flags, split)
    for note in (*corpus.notes, *_warnings(opened.description, corpus, flags)):
        click.echo(f"note: {note}", err=True)
    pipeline = opened.load_pipeline(device)
    pipeline = replace(pipeline, truncation=answer.truncation)
    scored = score_rows(pipeline, corpus[split], f"scoring {split}")
    sets = label_sets(scored, opened.conformal)
    report = measure(scored, corpus, split, levels, sets)
    click.echo(report.text())
    if output is not None:
        facts = {"model": opened.folder.name, "data": corpus.source, "split": split}
        _write_report(report, facts, output)
    return 0 if report.passed or not (corpus["train"] or report.failures) else 1


def _write_report(report: "Report", facts: dict[str, str], output: Path) -> None:
    """Write a report as JSON and as a page, side by side."""
    from patclass.core.files import atomic_write, write_json
    from patclass.evaluation.pages import html_report

    with atomic_write(output.with_suffix(".json")) as partial:
        write_json(partial, report.model_dump(mode="json"))
    with atomic_write(output.with_suffix(".html")) as partial:
        page = html_report(report, f"{facts['model']} on {facts['data']}", facts)
        partial.write_text(page, encoding="utf-8")


def _test_corpus(bundle: "Bundle", flags: dict[str, Any], split: str) -> "Corpus":
    """The data that a model is tested on.

    :raises DataError: if its split has no usable row.
    """
    from patclass.core.errors import DataError
    from patclass.core.settings import data_like, is_same_data
    from patclass.data.corpus import load_corpus

    stored = bundle.description.data_settings()
    # Of the data of the training, a part was held out.
    test_only = flags["data"] is not None and not is_same_data(flags["data"], stored.data)
    corpus = load_corpus(data_like(stored, flags), bundle.tree, test_only=test_only)
    if not corpus[split]:
        raise DataError(
            f"split {split}: {corpus.source} has no usable row in it; check the labels and texts, "
            "or choose the other split.",
            setting="split",
        )
    return corpus


def _warnings(description: "Description", corpus: "Corpus", flags: dict[str, Any]) -> list[str]:
    same = all(value is None for value in flags.values())
    if not same or corpus.fingerprint() == description.data.fingerprint:
        return []
    return [
        "the data has changed since this model was trained on it; some of the rows measured here "
        "may have been training rows"
    ]


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--level", help="Level to compare at.  [default: the coarsest]")
@split_option
@output_option("Also write the figures, as JSON.", required=False)
@settings_options(
    TrainSettings,
    *("data", "labels", *TABLE_SETTINGS, "test_rows"),
    defaults={"data": "that of A's training", "labels": "those of each training"},
    helps=_TESTED_ON,
)
@device_option
def compare(
    a: str,
    b: str,
    level: str | None,
    split: str,
    output: Path | None,
    device: str,
    **flags: Any,
) -> int:
    """Compare two bundles on the same rows, and report whether the difference is significant.

    Paired bootstrap and McNemar's exact test. A and B are folders, or 'shipped'; both must have
    the level. A row whose label a model does not have counts as an error of that model. Without
    --data, the data is that of A's training.

    \b
        patclass compare old_model final_model --data patents/ --level section
        patclass compare shipped final_model --data patents/ -o comparison.json
    """
    from patclass.bundle import read_bundle
    from patclass.bundle.registry import locate
    from patclass.core.errors import DataError
    from patclass.core.files import atomic_write, write_json
    from patclass.evaluation.compare import compare as paired
    from patclass.inference.prediction import check_level
    from patclass.predictor.scored import codes_by_id, score_rows

    bundles = [read_bundle(locate(name)) for name in (a, b)]
    level = level or bundles[0].tree.levels[0]
    for bundle in bundles:
        check_level(bundle.tree, level)
    # Each model reads the same patents in its own view: its levels, its text fields.
    flags["data"] = flags["data"] or bundles[0].description.settings.data.data
    answers = []
    for bundle in bundles:
        rows = _test_corpus(bundle, flags, split)[split]
        scored = score_rows(bundle.load_pipeline(device), rows, bundle.folder.name)
        answers.append(codes_by_id(scored, level))
    of_a, of_b = answers
    either = {key: of_a[key][0] or of_b[key][0] for key in of_a if key in of_b}
    y_true = {key: code for key, code in either.items() if code is not None}
    if not y_true:
        raise DataError(
            f"the two models share no row whose {level} is known; choose other data.",
            setting="data",
        )
    columns = [[*y_true.values()], *([answer[key][1] for key in y_true] for answer in answers)]
    codes = sorted({code for column in columns for code in column})
    true, first, second = ([codes.index(code) for code in column] for column in columns)
    result = paired(true, first, second, level=level, names=(a, b))
    click.echo(result.text())
    if output is not None:
        with atomic_write(output) as partial:
            write_json(partial, result.model_dump(mode="json"))
    return 0


@click.command()
@output_option("File of the disputed rows: .csv, .tsv, .jsonl or .parquet.")
@click.option("--level", help="Level whose labels are audited.  [default: the coarsest]")
@click.option(
    "--folds",
    type=click.IntRange(2, 20),
    default=5,
    show_default=True,
    help="Folds of the cross-validation.",
)
@settings_options(
    TrainSettings,
    *("data", "labels", "text", *TABLE_SETTINGS, "train_rows", "seed"),
    helps={
        "data": f"Patents whose labels are audited: {DATA_FORMS}.",
        "train_rows": "Audit this many rows: seeded, shuffled, stratified.",
        "seed": "Seed of subsets.",
    },
)
def audit(output: Path, level: str | None, folds: int, **flags: Any) -> int:
    """List the training rows whose labels are probably wrong, for review.

    Confident learning: every row is scored by a linear model that was fitted on the other folds,
    and a label that disagrees with a confident prediction is disputed. The file has a row for each
    of them, the most probable errors first.

    \b
        patclass audit -o disputed.csv --data patents/ --labels section
    """
    from patclass.core.files import check_writable
    from patclass.core.progress import progress
    from patclass.data.corpus import load_corpus
    from patclass.data.examples import known_at
    from patclass.data.formats import file_format
    from patclass.evaluation.audit import disputed, label_noise, out_of_fold, write_disputes
    from patclass.inference.prediction import check_level

    file_format(output)
    check_writable(output)
    corpus = load_corpus(TrainSettings.load(flags).data)
    for note in corpus.notes:
        click.echo(f"note: {note}", err=True)
    level = level or corpus.tree.levels[0]
    check_level(corpus.tree, level)
    labels = corpus.tree.at(level)
    depth = corpus.tree.levels.index(level)
    known, y_true = known_at(corpus["train"], depth)
    rows = [corpus["train"][place] for place in known[y_true >= 0]]
    texts, observed = [row.text for row in rows], y_true[y_true >= 0].tolist()
    with progress("auditing", len(rows)) as bar:
        probabilities = out_of_fold(texts, observed, len(labels), folds, on_progress=bar.update)
    found = disputed(observed, probabilities)
    write_disputes(found, rows, labels, output)
    click.echo(f"{output}: {len(found):,} of {len(rows):,} labels are disputed ({level})")
    shares = sorted(label_noise(observed, probabilities).items(), key=lambda item: -item[1])[:5]
    worst = ", ".join(f"{labels[label].code} {share:.1%}" for label, share in shares)
    click.echo(f"estimated share of wrong labels, the highest: {worst}")
    return 0
