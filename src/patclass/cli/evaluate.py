"""``patclass evaluate``, ``compare`` and ``audit``: figures of models and of labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import bundle_argument, device_option, settings_options, split_option
from patclass.core.settings import TrainSettings

if TYPE_CHECKING:
    from patclass.bundle.description import Description
    from patclass.data.examples import Corpus


@click.command()
@bundle_argument
@split_option
@click.option(
    "--report",
    "target",
    type=click.Path(path_type=Path),
    help="Also write the report as a page (.html) and as data (.json) of this name.",
)
@click.option(
    "--baselines",
    metavar="LEVELS",
    help="Levels at which the baselines are fitted, comma-separated; the deeper, the longer.  "
    "[default: the coarsest]",
)
@settings_options(TrainSettings, "data", "labels", "code_column", "test_rows", "truncation")
@device_option
def evaluate(
    bundle: str | None,
    split: str,
    target: Path | None,
    baselines: str | None,
    device: str,
    **flags: Any,
) -> int:
    """Measure BUNDLE (a folder, or 'shipped') on labelled patents, beside two baselines.

    Accuracy with intervals, calibration, label sets, slices and mistakes for every level.
    Majority class and TF-IDF + logistic regression are fitted on the train part of the same data,
    so the data needs one. Without --data, the rows that training kept for the test are used.

    \b
        patclass evaluate final_model --data patents/ --report report.html
    """
    from dataclasses import replace

    from patclass.bundle import read_bundle
    from patclass.bundle.registry import locate
    from patclass.core.errors import ConfigError
    from patclass.core.files import atomic_write, check_writable, write_json
    from patclass.core.settings import data_like
    from patclass.data.corpus import load_corpus
    from patclass.evaluation.html import html_report
    from patclass.evaluation.report import measure
    from patclass.inference.prediction import check_level
    from patclass.predictor.scored import label_sets, score_rows

    if target is not None:
        if target.suffix not in (".html", ".json"):
            raise ConfigError(f"--report {target}: name a file that ends in .html or .json.")
        check_writable(target)
    opened = read_bundle(locate(bundle))
    usual = {"truncation": opened.description.text.truncation}
    truncation = {"truncation": flags.pop("truncation")}
    answer = TrainSettings.load(truncation, environment={}, defaults=usual).answer
    levels = [name.strip() for name in (baselines or opened.tree.levels[0]).split(",")]
    for level in levels:
        check_level(opened.tree, level)
    corpus = load_corpus(data_like(opened.description.data_settings(), flags), opened.tree)
    for note in (*corpus.notes, *_warnings(opened.description, corpus, flags)):
        click.echo(f"note: {note}", err=True)
    pipeline = opened.load_pipeline(device)
    pipeline = replace(pipeline, truncation=answer.truncation)
    scored = score_rows(pipeline, corpus[split], f"scoring {split}")
    sets = label_sets(scored, opened.conformal)
    report = measure(scored, corpus, split, levels, sets)
    click.echo(report.text())
    if target is not None:
        with atomic_write(target.with_suffix(".json")) as partial:
            write_json(partial, report.model_dump(mode="json"))
        with atomic_write(target.with_suffix(".html")) as partial:
            facts = {"model": opened.folder.name, "data": corpus.source, "split": split}
            page = html_report(report, f"{opened.folder.name} on {corpus.source}", facts)
            partial.write_text(page, encoding="utf-8")
    return 0 if report.passed else 1


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
@click.option("--json", "target", type=click.Path(path_type=Path), help="Also write the figures.")
@settings_options(TrainSettings, "data", "labels", "code_column", "test_rows")
@device_option
def compare(
    a: str,
    b: str,
    level: str | None,
    split: str,
    target: Path | None,
    device: str,
    **flags: Any,
) -> int:
    """Test two bundles on the same rows and say which is better, or that it cannot tell.

    Paired bootstrap and McNemar's exact test. A and B are folders, or 'shipped'; both must know
    the level. Rows whose label either model does not know count as wrong for it. The data is that
    of A's training unless --data names other.

    \b
        patclass compare old_model final_model --data patents/ --level section
    """
    from patclass.bundle import read_bundle
    from patclass.bundle.registry import locate
    from patclass.core.errors import DataError
    from patclass.core.files import atomic_write, write_json
    from patclass.core.settings import data_like
    from patclass.data.corpus import load_corpus
    from patclass.evaluation.compare import compare as paired
    from patclass.inference.prediction import check_level
    from patclass.predictor.scored import labelled_answers, score_rows

    bundles = [read_bundle(locate(name)) for name in (a, b)]
    level = level or bundles[0].tree.levels[0]
    for bundle in bundles:
        check_level(bundle.tree, level)
    # Each model reads the same patents in its own way: other levels, another view of the text.
    flags["data"] = flags["data"] or bundles[0].description.settings.data.data
    found = []
    for bundle in bundles:
        stored = bundle.description.data_settings()
        rows = load_corpus(data_like(stored, flags), bundle.tree)[split]
        scored = score_rows(bundle.load_pipeline(device), rows, bundle.folder.name)
        found.append(labelled_answers(scored, level))
    either = {key: found[0][key][0] or found[1][key][0] for key in found[0] if key in found[1]}
    truth = {key: code for key, code in either.items() if code is not None}
    if not truth:
        raise DataError(f"the two models share no row whose {level} is known; give other --data.")
    answered = [[of_one[key][1] for key in truth] for of_one in found]
    codes = sorted({*truth.values(), *answered[0], *answered[1]})
    true, first, second = (
        [codes.index(code) for code in column] for column in (truth.values(), *answered)
    )
    result = paired(true, first, second, level=level, names=(a, b))
    click.echo(result.text())
    if target is not None:
        with atomic_write(target) as partial:
            write_json(partial, result.model_dump(mode="json"))
    return 0


@click.command()
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--level", help="Level whose labels are audited.  [default: the coarsest]")
@click.option(
    "--folds", type=click.IntRange(2, 20), default=5, show_default=True, help="Parts of the data."
)
@settings_options(TrainSettings, "data", "labels", "text", "code_column", "train_rows", "seed")
def audit(target: Path, level: str | None, folds: int, **flags: Any) -> int:
    """List the training rows whose label is disputed most, for a person to review.

    A linear model on words is fitted on all parts of the training rows but one and asked about
    that one, so no row vouches for itself (confident learning). OUT (.csv, .tsv, .jsonl or
    .parquet) has a row for each dispute, the most certain first.

    \b
        patclass audit disputed.csv --data patents/ --labels section
    """
    from tqdm import tqdm

    from patclass.core.files import check_writable
    from patclass.data.corpus import load_corpus
    from patclass.data.rows import file_format
    from patclass.evaluation.audit import disputed, noise, out_of_fold, write_disputes
    from patclass.inference.prediction import check_level

    file_format(target)
    check_writable(target)
    corpus = load_corpus(TrainSettings.load(flags).data)
    level = level or corpus.tree.levels[0]
    check_level(corpus.tree, level)
    labels = corpus.tree.at(level)
    known = [(row, row.truth[corpus.tree.levels.index(level)]) for row in corpus["train"]]
    pairs = [(row, label) for row, label in known if label is not None and label >= 0]
    texts, given = [row.text for row, _ in pairs], [label for _, label in pairs]
    with tqdm(total=len(pairs), desc="auditing", unit="row", disable=None) as bar:
        probabilities = out_of_fold(texts, given, len(labels), folds, advance=bar.update)
    found = disputed(given, probabilities)
    write_disputes(found, [row for row, _ in pairs], labels, target)
    click.echo(f"{target}: {len(found):,} of {len(pairs):,} labels are disputed ({level})")
    shares = sorted(noise(given, probabilities).items(), key=lambda item: -item[1])[:5]
    worst = ", ".join(f"{labels[label].code} {share:.1%}" for label, share in shares)
    click.echo(f"estimated share of wrong labels, the highest: {worst}")
    return 0
