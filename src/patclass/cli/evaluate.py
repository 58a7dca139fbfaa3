"""``patclass evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import (
    bundle_argument,
    device_option,
    settings_options,
    split_option,
)

if TYPE_CHECKING:
    from patclass.bundle.layout import Description
    from patclass.data.corpus import Corpus


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
@settings_options("data", "labels", "code_column", "test_rows", "policy")
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
    from patclass.config import data_like, load_settings
    from patclass.data.corpus import load_corpus
    from patclass.errors import ConfigError
    from patclass.evaluation.html import html_report
    from patclass.evaluation.measure import measure
    from patclass.evaluation.scored import label_sets, score_rows
    from patclass.files import check_writable, whole_file, write_json
    from patclass.inference.answer import check_level
    from patclass.inference.locate import locate

    if target is not None:
        if target.suffix not in (".html", ".json"):
            raise ConfigError(f"--report {target}: name a file that ends in .html or .json.")
        check_writable(target)
    opened = read_bundle(locate(bundle))
    usual = {"policy": opened.description.text.policy}
    asked = load_settings({"policy": flags.pop("policy")}, environment={}, defaults=usual)
    levels = [name.strip() for name in (baselines or opened.tree.levels[0]).split(",")]
    for level in levels:
        check_level(opened.tree, level)
    corpus = load_corpus(data_like(opened.description.data_settings(), flags), opened.tree)
    for note in (*corpus.notes, *_warnings(opened.description, corpus, flags)):
        click.echo(f"note: {note}", err=True)
    pipeline = opened.load_pipeline(device)
    pipeline = replace(pipeline, policy=asked.answer.policy)
    scored = score_rows(pipeline, corpus[split], f"scoring {split}")
    sets = label_sets(scored, opened.conformal)
    report = measure(scored, corpus, split, levels, sets)
    click.echo(report.text())
    if target is not None:
        with whole_file(target.with_suffix(".json")) as aside:
            write_json(aside, report.model_dump(mode="json"))
        with whole_file(target.with_suffix(".html")) as aside:
            facts = {"model": opened.folder.name, "data": corpus.source, "split": split}
            page = html_report(report, f"{opened.folder.name} on {corpus.source}", facts)
            aside.write_text(page, encoding="utf-8")
    return 0 if report.passed else 1


def _warnings(description: "Description", corpus: "Corpus", flags: dict[str, Any]) -> list[str]:
    same = all(value is None for value in flags.values())
    if not same or corpus.fingerprint() == description.data.fingerprint:
        return []
    return [
        "the data has changed since this model was trained on it; some of the rows measured here "
        "may have been training rows"
    ]
