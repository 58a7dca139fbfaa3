"""``patclass doctor``: the machine that the product runs on."""

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from patclass.cli.options import flag_of

if TYPE_CHECKING:
    from patclass.model.device import CpuProbe

PACKAGES = ("torch", "transformers", "peft", "datasets", "tokenizers", "scikit-learn")


@click.command()
def doctor() -> int:
    """Report what is available on this machine: devices, number formats, base models, versions."""
    import psutil
    import torch
    from huggingface_hub import get_token

    from patclass.core.errors import ModelError
    from patclass.model.base import PRESETS, resolve_base
    from patclass.model.device import choose_compute, probe_cpu
    from patclass.model.machine import free_memory, gibibytes, usable_cores

    click.echo(f"python      {platform.python_version()} on {platform.system()}")
    click.echo("packages    " + ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    click.echo(
        f"processor   {torch.cpu.get_capabilities().get('cpu_name', 'unknown')}: {_instructions()}"
    )
    threads = torch.get_num_threads()
    click.echo(f"cores       {usable_cores()} usable, {threads} threads of torch (OMP_NUM_THREADS)")
    free, total = free_memory(), psutil.virtual_memory().total
    click.echo(f"memory      {gibibytes(free)} free of {gibibytes(total)}")
    click.echo(f"accelerator {_accelerators()}")
    for line in _products(probe_cpu()):
        click.echo(line)
    click.echo(f"selected    for a float32 base: {choose_compute()}")
    click.echo(f"            for a bfloat16 base: {choose_compute(stored=torch.bfloat16)}")
    for name, preset in PRESETS.items():
        try:
            resolve_base(name, download=False)
            packed = preset.wheel is not None and preset.wheel.locate() is not None
            state = "verified" if preset.hashes or packed else "present"
        except ModelError as problem:
            state = f"not available: {problem.message(flag_of)}"
        click.echo(f"base        {name} ({preset.summary}): {state}")
    click.echo(f"hub token   {'set' if get_token() else 'not set (HF_TOKEN)'}")
    click.echo(f"disk        {gibibytes(shutil.disk_usage('.').free)} free in this folder")
    return 0


# Instruction sets on which the speed of a number format depends, of x86 and of Arm.
INSTRUCTIONS = (
    *("avx2", "avx512_f", "avx512_bf16", "avx_vnni", "avx512_vnni", "amx_bf16", "amx_int8"),
    *("neon_bf16", "bf16", "sve", "i8mm"),
)


def _instructions() -> str:
    import torch

    there = torch.cpu.get_capabilities()
    return ", ".join(name for name in INSTRUCTIONS if there.get(name)) or "no vector instructions"


def _accelerators() -> str:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return ", ".join(names)
    return "Apple GPU" if torch.backends.mps.is_available() else "none"


def _products(probe: "CpuProbe") -> Iterator[str]:
    """A line for each kind of matrix products."""
    kinds = (
        ("float32", probe.plain, not probe.fast_float32),
        ("float32, oneDNN's fast products", probe.fast, probe.fast_float32),
        ("bfloat16 (mixed precision)", probe.short, probe.bfloat16),
    )
    for name, products, used in kinds:
        yield (
            f"products    {name}: {products.gflops:,.0f} GFLOP/s of one core, relative error "
            f"{products.error:.1e}: {'used' if used else 'not used'}"
        )
