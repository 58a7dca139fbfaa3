"""Which device and number format to use here, and why. Knows hardware, no model.

Processors are probed, not assumed: bfloat16 on a processor that only emulates it is 40 to
500 times slower than float32.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch

from patclass.core.errors import ConfigError
from patclass.model.machine import usable_cores

Precision = Literal["float32", "bfloat16"]

# A float32 product of 512 terms has a relative error near 3e-7; anything above this bound
# is no longer float32 in all but name.
FLOAT32_ERROR = 2e-6
BFLOAT16_GAIN = 1.3
_SIDE = 512


@dataclass(frozen=True)
class Compute:
    """A device, the format of the frozen base, and the reasons in words.

    :param fast_float32: whether oneDNN's faster float32 products are used.
    :param fast_bfloat16: whether bfloat16 products are really faster than float32 ones here.
    """

    device: str
    precision: Precision
    fast_float32: bool
    reason: str
    fast_bfloat16: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The torch type of ``precision``."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}: {self.reason}"


@dataclass(frozen=True)
class Products:
    """What one kind of matrix products does on one core.

    :param gflops: billions of operations a second.
    :param error: relative, against float64.
    """

    gflops: float
    error: float


@dataclass(frozen=True)
class CpuProbe:
    """What this processor measurably does.

    :param plain: products of float32.
    :param fast: of float32, as oneDNN computes them when it may use a shorter format inside.
    :param short: of bfloat16.
    """

    plain: Products
    fast: Products
    short: Products

    @property
    def fast_float32(self) -> bool:
        """Whether oneDNN's faster float32 products are as exact as float32."""
        return self.fast.error <= FLOAT32_ERROR

    @property
    def bfloat16_gain(self) -> float:
        """Speed of bfloat16, relative to the products that float32 would be computed with."""
        return self.short.gflops / (self.fast if self.fast_float32 else self.plain).gflops

    @property
    def bfloat16(self) -> bool:
        """Whether bfloat16 products are really faster than float32 ones."""
        return self.bfloat16_gain >= BFLOAT16_GAIN


@cache
def probe_cpu() -> CpuProbe:
    """Measure errors and speeds of 512×512 products of one thread (some 50 ms)."""
    before, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(_SIDE, _SIDE, generator=generator) for _ in range(2))
    exact = left.double() @ right.double()

    def measure(precision: str, left: torch.Tensor, right: torch.Tensor) -> Products:
        torch.set_float32_matmul_precision(precision)
        error = ((left @ right).double() - exact).norm() / exact.norm()
        return Products(2 * _SIDE**3 / _seconds(lambda: left @ right) / 1e9, float(error))

    try:
        # Threads that wait for each other would be measured along with the products.
        torch.set_num_threads(1)
        return CpuProbe(
            measure(_product_precision(False), left, right),
            measure(_product_precision(True), left, right),
            measure(_product_precision(False), left.bfloat16(), right.bfloat16()),
        )
    finally:
        torch.set_float32_matmul_precision(before)
        torch.set_num_threads(threads)


def _seconds(product: Callable[[], object], repeats: int = 5) -> float:
    product()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        product()
        times.append(time.perf_counter() - start)
    return min(times)  # work of other processes only adds


def choose_compute(
    device: str = "auto",
    precision: Precision | Literal["auto"] = "auto",
    stored: torch.dtype = torch.float32,
) -> Compute:
    """Choose device and precision.

    :param stored: the type in which the base's weights are stored; ``auto`` never goes below.
    :raises ConfigError: if a device is asked for that is not there.
    """
    device = _choose_device(device)
    if device == "cpu":
        return _choose_cpu(precision, stored)
    # float16 is not usable for training on MPS, and bfloat16 there depends on the system.
    half = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "auto":
        precision = "bfloat16" if half else "float32"
    reason = torch.cuda.get_device_name() if device == "cuda" else "Apple GPU, never float16"
    return Compute(device, precision, False, reason, half)


def _choose_device(device: str) -> str:
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, present in there.items() if present)
    if not there[device]:
        found = ", ".join(name for name, present in there.items() if present)
        raise ConfigError(
            f"device {device}: there is none here; use {found} or auto.", setting="device"
        )
    return device


def _choose_cpu(precision: Precision | Literal["auto"], stored: torch.dtype) -> Compute:
    probe = probe_cpu()
    gain = f"bfloat16 is {probe.bfloat16_gain:.2g}× as fast as float32 here"
    if precision == "bfloat16":
        reason = f"asked for; {gain}"
    elif precision == "auto" and stored == torch.bfloat16 and probe.bfloat16:
        precision, reason = "bfloat16", f"the base is stored in bfloat16, and {gain}"
    else:
        precision, exact = "float32", "exact" if probe.fast_float32 else "not exact"
        errors = f"{probe.fast.error:.0e}, plain {probe.plain.error:.0e}"
        reason = f"oneDNN's fast products are {exact} (relative error {errors}); {gain}"
    return Compute("cpu", precision, probe.fast_float32, reason, probe.bfloat16)


def apply_compute(compute: Compute) -> None:
    """Set torch's process-wide product precision to what was chosen, and its threads.

    A container may have fewer cores than the machine that torch sees; OMP_NUM_THREADS overrules.
    """
    torch.set_float32_matmul_precision(_product_precision(compute.fast_float32))
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())


def _product_precision(fast: bool) -> str:
    return "medium" if fast else "highest"
