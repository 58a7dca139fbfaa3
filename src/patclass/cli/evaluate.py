"""``patclass evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import bundle_argument, device_option, settings_options

if TYPE_CHECKING:
    from patclass.bundle.layout import Description
    from patclass.config import DataSettings
    from patclass.data.corpus import Corpus


@click.command()
@bundle_argument
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
    help="Also write the report to this .json file, and the confusion matrix as PNG beside it.",
)
@settings_options("data", "labels", "code_column", "test_rows")
@device_option
def evaluate(bundle: Path, split: str, target: Path | None, device: str, **flags: Any) -> int:
    """Measure BUNDLE (default: final_model) on labelled patents, beside two baselines.

    Majority class and TF-IDF + logistic regression are fitted on the train part of the same data,
    so the data needs one. Without --data, the rows that training kept for the test are used.

    \b
        patclass evaluate final_model --data patents/ --labels section
    """
    from patclass.bundle import read_bundle
    from patclass.data.corpus import load_corpus
    from patclass.errors import ConfigError
    from patclass.evaluation.measure import measure
    from patclass.evaluation.plots import confusion_picture
    from patclass.files import whole_file, write_json

    if target is not None and target.suffix != ".json":
        raise ConfigError(f"--report {target}: name a file that ends in .json.")
    opened = read_bundle(bundle)
    corpus = load_corpus(_data(opened.description, flags), opened.labels)
    for note in (*corpus.notes, *_warnings(opened.description, corpus, flags)):
        click.echo(f"note: {note}", err=True)
    report = measure(opened.load_model(device), opened.load_tokenizer(), corpus, split)
    click.echo(report.text())
    if target is not None:
        with whole_file(target) as aside:
            write_json(aside, report.model_dump())
        with whole_file(target.with_suffix(".png")) as aside:
            confusion_picture(report.model, f"{split}, {report.model.rows} rows", aside)
    return 0 if report.passed else 1


def _data(description: "Description", flags: dict[str, Any]) -> "DataSettings":
    """The data of the training run, or other data read in the same way."""
    from patclass.config import load_settings

    stored = dict(description.settings.data) | {"text": description.text.view}
    if flags["data"] is not None:  # limits of the training run mean nothing for other rows
        stored |= {"train_rows": None, "validation_rows": None, "test_rows": None}
    return load_settings(flags, environment={}, defaults=stored).data


def _warnings(description: "Description", corpus: "Corpus", flags: dict[str, Any]) -> list[str]:
    same = all(value is None for value in flags.values())
    if not same or corpus.fingerprint() == description.data.fingerprint:
        return []
    return [
        "the data has changed since this model was trained on it; some of the rows measured here "
        "may have been training rows"
    ]
