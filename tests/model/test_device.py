import pytest
import torch

from patclass.core.errors import ConfigError
from patclass.model import device as device_module
from patclass.model.device import (
    Compute,
    CpuProbe,
    Products,
    apply_compute,
    choose_compute,
    probe_cpu,
)

PLAIN = Products(100.0, 2e-7)
EXACT_AND_FAST = CpuProbe(PLAIN, Products(200.0, 4e-7), Products(400.0, 2e-3))
EMULATED = CpuProbe(PLAIN, Products(200.0, 2e-3), Products(2.0, 2e-3))


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> CpuProbe:
    monkeypatch.setattr(device_module, "probe_cpu", lambda: request.param)
    return request.param


def test_the_probe_measures_without_changing_the_setting():
    torch.set_float32_matmul_precision("high")
    threads = torch.get_num_threads()
    probe_cpu.cache_clear()
    measured = probe_cpu()
    assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_num_threads() == threads
    torch.set_float32_matmul_precision("highest")
    assert 0 < measured.plain.error < 2e-6 < measured.short.error < 1e-2
    assert all(each.gflops > 0 for each in (measured.plain, measured.fast, measured.short))


def test_bfloat16_is_compared_with_the_float32_that_would_be_used():
    assert (EXACT_AND_FAST.bfloat16_gain, EXACT_AND_FAST.bfloat16) == (2.0, True)
    assert (EMULATED.bfloat16_gain, EMULATED.bfloat16) == (0.02, False)


@pytest.mark.parametrize("probe", [EXACT_AND_FAST], indirect=True)
def test_bfloat16_is_chosen_with_hardware_support_and_a_bfloat16_base(probe: CpuProbe):
    chosen = choose_compute("cpu", stored=torch.bfloat16)
    assert chosen.precision == "bfloat16"
    assert "2×" in chosen.reason
    assert choose_compute("cpu", stored=torch.float32).precision == "float32"


@pytest.mark.parametrize("probe", [EMULATED], indirect=True)
def test_emulated_bfloat16_and_inexact_fast_products_are_not_chosen(probe: CpuProbe):
    chosen = choose_compute("cpu", stored=torch.bfloat16)
    assert (chosen.precision, chosen.fast_float32) == ("float32", False)
    assert "not exact" in chosen.reason


@pytest.mark.parametrize("probe", [EXACT_AND_FAST], indirect=True)
def test_exact_fast_products_are_used(probe: CpuProbe):
    chosen = choose_compute("cpu")
    assert chosen.fast_float32
    apply_compute(chosen)
    assert torch.get_float32_matmul_precision() == "medium"
    apply_compute(Compute("cpu", "float32", False, ""))
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("probe", [EMULATED], indirect=True)
def test_a_requested_precision_is_used_and_its_cost_reported(probe: CpuProbe):
    chosen = choose_compute("cpu", "bfloat16")
    assert chosen.precision == "bfloat16"
    assert "0.02×" in chosen.reason


def test_mps_never_computes_in_float16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    chosen = choose_compute("mps", stored=torch.float16)
    assert chosen.precision == "float32"


def test_cuda_computes_in_bfloat16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    assert str(choose_compute()) == "cuda, bfloat16: a card"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_an_unavailable_device_is_refused():
    with pytest.raises(ConfigError, match="device cuda: there is none here; use cpu or auto"):
        choose_compute("cuda")


def test_no_more_threads_are_used_than_cores(monkeypatch: pytest.MonkeyPatch):
    used: list[int] = []
    monkeypatch.setattr(device_module, "usable_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    apply_compute(Compute("cpu", "float32", False, ""))
    assert not used
    monkeypatch.delenv("OMP_NUM_THREADS")
    apply_compute(Compute("cpu", "float32", False, ""))
    assert used == [2]
