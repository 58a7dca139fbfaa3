"""``patclass doctor``."""

import platform
import shutil
from importlib.metadata import version

import click

PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "scikit-learn")


@click.command()
def doctor() -> int:
    """Say what this machine offers: device, number formats, bases, versions."""
    import torch
    from huggingface_hub import get_token

    from patclass.errors import ModelError
    from patclass.model.base import resolve_base
    from patclass.model.device import choose_compute, probe_cpu
    from patclass.model.presets import PRESETS

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
