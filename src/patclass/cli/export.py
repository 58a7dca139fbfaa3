"""``patclass export``, ``verify`` and ``doctor``: bundles and the machine they run on."""

import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import bundle_argument, device_option, settings_options
from patclass.core.settings import TrainSettings

if TYPE_CHECKING:
    from patclass.bundle import Bundle
    from patclass.core.settings import DataSettings


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
@settings_options(TrainSettings, "data", "labels", "code_column")
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
    from patclass.bundle.registry import locate
    from patclass.data.corpus import load_corpus
    from patclass.export.run import export as run

    opened = read_bundle(locate(bundle))
    corpus = load_corpus(_data(opened, flags), opened.tree)
    info = run(opened, form, target, corpus, click.echo)
    click.echo(f"{target}: {info.weights}, verified in a fresh process")
    return 0


def _data(bundle: "Bundle", flags: dict[str, Any]) -> "DataSettings":
    from patclass.core.settings import data_like

    stored = bundle.description.data_settings()
    if flags["data"] is None and _is_gone(stored.data):
        click.echo(f"note: {stored.data} is not here; comparing on the sample", err=True)
        flags = flags | {"data": "sample"}
    return data_like(stored, flags)


def _is_gone(data: str) -> bool:
    """Whether it was a file or folder that is not here; the sample and the hub always are."""
    on_hub = data.count("/") == 1 and not data.startswith((".", "/"))
    return data != "sample" and not on_hub and not Path(data).exists()


@click.command()
@bundle_argument
@device_option
def verify(bundle: str | None, device: str) -> int:
    """Prove that BUNDLE (a folder, or 'shipped') is whole and answers as it did when it was saved.

    Checks every file's hash, the base's hash, the labels, and the logits of the golden texts.
    """
    from patclass.bundle import read_bundle
    from patclass.bundle.registry import locate

    opened = read_bundle(locate(bundle))
    difference = opened.verify(device)
    click.echo(
        f"{opened.folder}: whole; {len(opened.golden.texts)} golden texts answered alike "
        f"(largest difference of a logit {difference:.1e}, allowed {opened.golden.tolerance:g})"
    )
    return 0


PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "scikit-learn")


@click.command()
def doctor() -> int:
    """Say what this machine offers: device, number formats, bases, versions."""
    import torch
    from huggingface_hub import get_token

    from patclass.core.errors import ModelError
    from patclass.model.base import PRESETS, resolve_base
    from patclass.model.device import choose_compute, probe_cpu

    probe = probe_cpu()
    click.echo(f"python      {platform.python_version()} on {platform.system()}")
    click.echo("packages    " + ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    click.echo(
        f"processor   {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    )
    click.echo(
        f"float32     relative error {probe.float32_error:.1e}, with oneDNN's fast products "
        f"{probe.fast_float32_error:.1e}: {'used' if probe.fast_float32 else 'not used'}"
    )
    click.echo(
        f"bfloat16    {probe.bfloat16_gain:.2f}× the speed of float32: "
        f"{'real' if probe.bfloat16 else 'emulated, not used'}"
    )
    click.echo(f"chosen      for a float32 base: {choose_compute()}")
    click.echo(f"            for a bfloat16 base: {choose_compute(stored=torch.bfloat16)}")
    for name, preset in PRESETS.items():
        try:
            resolve_base(name, download=False)
            state = "verified" if preset.hashes else "present"
        except ModelError as problem:
            state = f"not ready: {problem}"
        click.echo(f"base        {name} ({preset.summary}): {state}")
    click.echo(f"hub token   {'set' if get_token() else 'not set (HF_TOKEN)'}")
    click.echo(f"disk        {shutil.disk_usage('.').free / 2**30:.1f} GiB free here")
    return 0
