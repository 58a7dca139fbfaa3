"""``patclass evaluate``."""

from pathlib import Path
from typing import Any

import click

from patclass.cli.options import settings_options


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="test",
    show_default=True,
    help="Rows to measure on.",
)
@click.option(
    "--report",
    "target",
    type=click.Path(path_type=Path),
    help="Also write the report as JSON here, and the confusion matrix as PNG beside it.",
)
@settings_options("data", "text", "labels", "code_column", "test_rows", "seed")
def evaluate(bundle: Path, split: str, target: Path | None, **flags: Any) -> int:
    """Measure a bundle on labelled patents, beside two baselines fitted on the same rows.

    The data needs a train part, because majority class and TF-IDF + logistic regression are
    fitted on it. Without flags, the data the bundle was trained on is used.

    \b
        patclass evaluate final_model --data patents/ --labels section
    """
    from patclass.bundle import read_bundle
    from patclass.config import load_settings
    from patclass.data.corpus import load_corpus
    from patclass.errors import ConfigError, DataError
    from patclass.evaluation.measure import measure
    from patclass.evaluation.plots import confusion_picture
    from patclass.files import whole_file, write_json

    if target is not None and target.suffix != ".json":
        raise ConfigError(f"--report {target}: name a file that ends in .json.")
    opened = read_bundle(bundle)
    settings = load_settings(flags, environment={}, defaults=opened.description.settings["data"])
    corpus = load_corpus(settings.data)
    if corpus.labels.codes != opened.labels.codes:
        raise DataError(
            f"labels disagree: {bundle} knows {opened.labels.codes[:12]}, the data has "
            f"{corpus.labels.codes[:12]}. Choose the same labels with --labels."
        )
    report = measure(opened.load_model(), opened.load_tokenizer(), corpus, split)
    click.echo(report.text())
    if target is not None:
        with whole_file(target) as aside:
            write_json(aside, report.model_dump())
        with whole_file(target.with_suffix(".png")) as aside:
            confusion_picture(report.model, f"{split}, {report.model.rows} rows", aside)
    return 0 if report.passed else 1
