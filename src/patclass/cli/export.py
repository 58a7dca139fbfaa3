"""``patclass export`` and ``verify``: bundles for the machine they run on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import (
    bundle_argument,
    device_option,
    open_bundle,
    output_option,
    settings_options,
)
from patclass.core.settings import DATA_FORMS, TABLE_SETTINGS, TrainSettings

if TYPE_CHECKING:
    from patclass.bundle import Bundle
    from patclass.core.settings import DataSettings


@click.command()
@bundle_argument
@output_option("Folder of the exported bundle.")
@click.option(
    "--to",
    "form",
    type=click.Choice(["openvino-int8", "openvino-f32", "merged"]),
    default="openvino-int8",
    show_default=True,
    help="int8 or float32 weights for OpenVINO on a CPU, without torch; or a plain transformers "
    "model with the adapter merged into it.",
)
@settings_options(
    TrainSettings,
    *("data", "labels", *TABLE_SETTINGS),
    defaults={
        "data": "that of the training if it is present, else sample",
        "labels": "those of the training",
    },
    helps={"data": f"Patents to quantise and compare with: {DATA_FORMS}."},
)
def export(bundle: str | None, output: Path, form: Any, **flags: Any) -> int:
    """Convert BUNDLE (a folder, or 'shipped') for fast inference on a CPU.

    The adapter is merged into the base, and the model converted; for int8 it is quantised with
    patents of --data. Then at least 1,000 texts are classified by both models. An export whose
    answers differ too much is refused, and the next more exact format is tried; for int8 that is:
    less than 98 % equal labels at the coarsest level or over all levels, less than 99 % equal
    labels among the sure ones, macro F1 lower by more than 0.5 points (below the coarsest level
    only if that is more than chance), or calibration error higher by more than 1 point at any
    level. The comparison is part of the exported bundle; how much faster it is here is reported.

    Without --data, the training data of the model is used if it is present, else the sample.
    Prefer real patents, a few hundred with labels: the sample is small and unlike yours.

    \b
        patclass export shipped -o shipped-int8
        patclass export final_model -o final-int8 --data patents/
        patclass verify final-int8
        patclass serve --model final-int8
    """
    from patclass.data.corpus import load_corpus
    from patclass.export.run import export as run

    opened = open_bundle(bundle)
    corpus = load_corpus(_data(opened, flags), opened.tree)
    info = run(opened, form, output, corpus, click.echo)
    click.echo(f"{output}: {info.weights}, verified in a fresh process")
    return 0


_OF_THE_SAMPLE = (
    "warning: the sample is small and consists mostly of parts of texts, for which labels change "
    "more easily: a fast form may be refused that agrees on real patents; name some with --data"
)


def _data(bundle: "Bundle", flags: dict[str, Any]) -> "DataSettings":
    from patclass.core.settings import data_like

    stored = bundle.description.data_settings()
    if flags["data"] is None and _is_missing(stored.data):
        click.echo(f"note: {stored.data} does not exist; comparing on the sample", err=True)
        flags = flags | {"data": "sample"}
    settings = data_like(stored, flags)
    if settings.data == "sample":
        click.echo(_OF_THE_SAMPLE, err=True)
    return settings


def _is_missing(data: str) -> bool:
    """Whether it is a file or folder that does not exist; the sample and hub data always do."""
    on_hub = data.count("/") == 1 and not data.startswith((".", "/"))
    return data != "sample" and not on_hub and not Path(data).exists()


@click.command()
@bundle_argument
@device_option
def verify(bundle: str | None, device: str) -> int:
    """Verify that BUNDLE (a folder, or 'shipped') is complete and answers as when it was saved.

    Checks the hash of every file and of the base, the labels, and the logits of the golden texts.

    \b
        patclass verify final_model
    """
    from patclass.evaluation.report import check_report

    opened = open_bundle(bundle)
    check_report(opened)
    difference = opened.verify(device)
    click.echo(
        f"{opened.folder}: complete; {len(opened.golden.texts)} golden texts have the same answers "
        f"(largest difference of a logit {difference:.1e}, tolerance {opened.golden.tolerance:g})"
    )
    return 0
