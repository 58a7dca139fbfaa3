"""``patclass export``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import bundle_argument, settings_options

if TYPE_CHECKING:
    from patclass.bundle import Bundle
    from patclass.config import DataSettings


@click.command()
@bundle_argument
@click.option(
    "--output",
    "-o",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the exported bundle.",
)
@click.option(
    "--to",
    "form",
    type=click.Choice(["openvino-int8", "openvino-f32", "merged", "cuda-int8", "cuda-int4"]),
    default="openvino-int8",
    show_default=True,
    help="What to make: eight-bit or float32 weights for OpenVINO on a CPU, without torch; one "
    "plain transformers model with the adapter merged in; or that with weights in eight or four "
    "bits on CUDA (torchao).",
)
@settings_options("data", "labels", "code_column")
def export(bundle: str | None, target: Path, form: Any, **flags: Any) -> int:
    """Make BUNDLE (a folder, or 'shipped') ready to answer fast on a plain CPU.

    The adapter is merged in float, the model converted and, for int8, quantised on patents of
    --data. Then at least 1,000 texts are answered by both: an export that answers differently
    (int8: under 98 % of the labels alike, of the coarsest level or of all together; under 99 % of
    the sure ones, macro F1 down by more than 0.5 points or calibration error up by more than 1 at
    any level) is refused, and the next safer way is taken.
    The comparison is kept in the result, which is a bundle like any other.

    Without --data: the patents that the model was trained on if they are here, else the sample.

    \b
        patclass export shipped -o shipped-int8
        patclass export final_model -o final-int8 --data patents/
        patclass verify final-int8
        patclass serve --model final-int8
    """
    from patclass.bundle import read_bundle
    from patclass.data.corpus import load_corpus
    from patclass.export.run import export as run
    from patclass.inference.locate import locate

    opened = read_bundle(locate(bundle))
    corpus = load_corpus(_data(opened, flags), opened.tree)
    info = run(opened, form, target, corpus, click.echo)
    click.echo(f"{target}: {info.weights}, verified in a fresh process")
    return 0


def _data(bundle: "Bundle", flags: dict[str, Any]) -> "DataSettings":
    from patclass.config import data_like

    stored = bundle.description.data_settings()
    if flags["data"] is None and _is_gone(stored.data):
        click.echo(f"note: {stored.data} is not here; comparing on the sample", err=True)
        flags = flags | {"data": "sample"}
    return data_like(stored, flags)


def _is_gone(data: str) -> bool:
    """Whether it was a file or folder that is not here; the sample and the hub always are."""
    on_hub = data.count("/") == 1 and not data.startswith((".", "/"))
    return data != "sample" and not on_hub and not Path(data).exists()
