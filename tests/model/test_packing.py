"""Packed weights: their error, round trips, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from patclass.core.errors import ModelError
from patclass.model.network import load_backbone
from patclass.model.packing import (
    FORMAT,
    GROUP,
    HEADER,
    PACKED,
    _spread,
    _squeeze,
    is_packed,
    pack,
    unpack,
)
from tiny_parts import tiny_parts

quick = settings(deadline=None, max_examples=100)
every_width = pytest.mark.parametrize("bits", range(2, 9))


def matrix(rows: int = 12, columns: int = 3 * GROUP, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.05


def packed(folder: Path, weights: dict[str, torch.Tensor], bits: int = 4) -> Path:
    """A file in which every matrix of ``weights`` is packed."""
    path = folder / PACKED
    pack(weights, {name: bits for name, w in weights.items() if w.ndim == 2}, path)
    return path


def header(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()[HEADER])


def rewrite(path: Path, change: dict[str, object], drop: str = "") -> None:
    """Change the header of a packed file, or leave out a tensor or an entry."""
    entries = {k: v for k, v in (header(path) | change).items() if k != drop}
    tensors = {k: v for k, v in load_file(path).items() if k != drop}
    save_file(tensors, path, {HEADER: json.dumps(entries)})


# Round trips


@every_width
def test_a_weight_is_restored_within_half_a_step(bits: int, tmp_path: Path):
    weight = matrix()
    path = packed(tmp_path, {"w": weight}, bits)
    found = unpack(path)["w"]
    assert found.dtype == torch.float32
    assert found.shape == weight.shape
    step = load_file(path)["w.scale"].float().repeat_interleave(GROUP, dim=1)
    top = 2 ** (bits - 1) - 1
    inside = (weight / step >= -top - 1.5) & (weight / step <= top + 0.5)
    assert inside.float().mean() > 0.8
    assert ((found - weight).abs() <= step * 0.5001)[inside].all()
    # Values outside are clipped to the nearest end of the grid.
    assert (found.sign() == weight.sign())[~inside].all()


@every_width
def test_clipping_never_loses_more_than_rounding_alone(bits: int, tmp_path: Path):
    weight = matrix(seed=bits)
    error = (unpack(packed(tmp_path, {"w": weight}, bits))["w"] - weight).view(-1, GROUP)
    groups = weight.view(-1, GROUP)
    step = (groups.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)).half().float()
    plain = (groups / step).round() * step - groups
    assert (error.square().sum(1) <= plain.square().sum(1) * 1.0001).all()


def test_more_bits_are_more_precise(tmp_path: Path):
    weight = matrix()
    errors = [
        (unpack(packed(tmp_path, {"w": weight}, bits))["w"] - weight).norm().item()
        for bits in range(2, 9)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 * weight.norm().item()


@every_width
@pytest.mark.parametrize("seed", range(3))
def test_weights_on_the_grid_are_restored_exactly(bits: int, seed: int, tmp_path: Path):
    top = 2 ** (bits - 1) - 1
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-top, top + 1, (6, 2, GROUP), generator=generator).float()
    values[:, :, 5] = top  # the largest value of a group is the end of its grid
    scales = (torch.rand(6, 2, 1, generator=generator) * 0.01 + 1e-3).half().float()
    weight = (values * scales).view(6, 2 * GROUP)
    first = packed(tmp_path, {"w": weight}, bits)
    assert unpack(first)["w"].equal(weight)
    before = load_file(first)
    pack(unpack(first), {"w": bits}, first)
    assert all(tensor.equal(before[name]) for name, tensor in load_file(first).items())


def test_unpacking_twice_gives_the_same_weights(tmp_path: Path):
    path = packed(tmp_path, {"w": matrix()})
    assert unpack(path)["w"].equal(unpack(path)["w"])


def test_zeros_stay_zeros(tmp_path: Path):
    weight = torch.cat([torch.zeros(2, GROUP), matrix(2, GROUP)])
    found = unpack(packed(tmp_path, {"w": weight}))["w"]
    assert not found[:2].any()
    assert found[2:].any()


def test_tensors_that_are_not_named_are_stored_in_float32(tmp_path: Path):
    weights = {
        "bias": torch.linspace(-1, 1, 7),
        "norm": torch.ones(5, dtype=torch.bfloat16),
        "odd": matrix(3, 7),
        "w": matrix(),
    }
    pack(weights, {"w": 4}, tmp_path / PACKED)
    found = unpack(tmp_path / PACKED)
    assert found.keys() == weights.keys()
    for name in ("bias", "norm", "odd"):
        assert found[name].equal(weights[name].float())
    assert not found["w"].equal(weights["w"])


def test_matrices_may_have_different_widths(tmp_path: Path):
    weights = {"a": matrix(seed=1), "b": matrix(seed=2)}
    pack(weights, {"a": 3, "b": 8}, tmp_path / PACKED)
    found = unpack(tmp_path / PACKED)
    errors = {name: (found[name] - weights[name]).norm().item() for name in weights}
    assert errors["b"] < errors["a"] / 10


@every_width
def test_a_file_is_as_small_as_its_bits_and_scales(bits: int, tmp_path: Path):
    weight = matrix(64, 32 * GROUP)
    size = packed(tmp_path, {"w": weight}, bits).stat().st_size
    assert size - weight.numel() * (bits / 8 + 2 / GROUP) < 500


@pytest.mark.parametrize("shape", [(4, GROUP + 1), (4, GROUP - 1), (GROUP,), (2, 2, GROUP)])
def test_a_tensor_without_groups_is_refused_with_its_name(shape: tuple[int, ...], tmp_path: Path):
    with pytest.raises(ValueError, match=r"'?w'? of shape .* has no groups of 32"):
        pack({"w": torch.zeros(shape)}, {"w": 4}, tmp_path / PACKED)
    assert not (tmp_path / PACKED).exists()


# The bit string


@quick
@given(st.integers(2, 8), st.data())
def test_values_round_trip_through_the_bit_string(bits: int, data: st.DataObject):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    numbers = data.draw(st.lists(st.integers(low, high), max_size=70))
    values = np.array(numbers, dtype=np.int8)
    squeezed = _squeeze(values, bits)
    assert squeezed.dtype == np.uint8
    assert len(squeezed) == -(-len(values) * bits // 8)
    spread = _spread(squeezed, bits, len(values))
    assert spread.dtype == np.int8
    np.testing.assert_array_equal(spread, values)


def test_the_bit_string_by_hand():
    # -2 → 00, -1 → 01, 0 → 10, 1 → 11: the most significant bit comes first.
    assert _squeeze(np.array([-2, -1, 0, 1], dtype=np.int8), 2).tolist() == [0b00011011]
    assert _spread(np.array([0b00011011], dtype=np.uint8), 2, 4).tolist() == [-2, -1, 0, 1]


# Files


def test_a_packed_file_is_recognised(tmp_path: Path):
    assert is_packed(packed(tmp_path, {"w": matrix()}))
    assert header(tmp_path / PACKED) == {
        "format": FORMAT,
        "version": 1,
        "forms": {"w": [4, 12, 3 * GROUP]},
    }
    save_file({"w": matrix()}, tmp_path / "plain.safetensors")
    assert not is_packed(tmp_path / "plain.safetensors")
    save_file({"w": matrix()}, tmp_path / "pt.safetensors", {"format": "pt"})
    assert not is_packed(tmp_path / "pt.safetensors")
    assert not is_packed(tmp_path / "missing.safetensors")
    assert not is_packed(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100])
def test_a_file_that_is_not_safetensors_is_refused(content: bytes, tmp_path: Path):
    (tmp_path / PACKED).write_bytes(content)
    for read in (is_packed, unpack):
        with pytest.raises(ModelError, match=r"model\.safetensors"):
            read(tmp_path / PACKED)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(share: float, tmp_path: Path):
    path = packed(tmp_path, {"w": matrix()})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match="is damaged"):
        unpack(path)


@pytest.mark.parametrize("change", [{"version": 2}, {"format": "other"}])
def test_an_unknown_version_is_refused(change: dict[str, object], tmp_path: Path):
    path = packed(tmp_path, {"w": matrix()})
    rewrite(path, change)
    with pytest.raises(ModelError, match="in a way that this release does not know"):
        unpack(path)


@pytest.mark.parametrize("drop", ["w.packed", "w.scale", "format", "version", "forms"])
def test_a_missing_part_is_refused(drop: str, tmp_path: Path):
    path = packed(tmp_path, {"w": matrix()})
    rewrite(path, {}, drop)
    with pytest.raises(ModelError, match="is damaged"):
        unpack(path)


@pytest.mark.parametrize(
    "form",
    [
        [],
        [4],
        [4, 12],
        ["four", 12, 96],
        [4, 12, 96, 1],
        [4, 13, 96],
        [4, 12, 128],
        [4, 24, 96],
        [8, 12, 96],
    ],
    ids=str,
)
def test_packing_metadata_that_does_not_match_the_values_is_refused(
    form: list[object], tmp_path: Path
):
    """A bit string that is too short must not be padded with zeros."""
    path = packed(tmp_path, {"w": matrix()})
    rewrite(path, {"forms": {"w": form}})
    with pytest.raises(ModelError, match="is damaged"):
        unpack(path)


def test_a_file_without_any_header_is_refused(tmp_path: Path):
    save_file({"w": matrix()}, tmp_path / PACKED)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        unpack(tmp_path / PACKED)


# Packed bases


def packed_base(base: Path, folder: Path, without: str = "") -> Path:
    """A copy of a base with all matrices packed except the embeddings."""
    for file in ("config.json", "tokenizer.json"):
        (folder / file).write_bytes((base / file).read_bytes())
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in load_file(base / "model.safetensors").items()
        if name != without and not name.startswith("lm_head")
    }
    bits = {n: 8 for n, w in weights.items() if w.ndim == 2 and "embed" not in n}
    pack(weights, bits, folder / PACKED)
    return folder


def test_a_packed_base_is_loaded_with_exactly_the_unpacked_weights(tiny_base: Path, tmp_path: Path):
    folder = packed_base(tiny_base, tmp_path)
    weights = unpack(folder / PACKED)
    plain = load_backbone(tiny_parts(tiny_base)).state_dict()
    loaded = load_backbone(tiny_parts(folder)).state_dict()
    assert loaded.keys() == plain.keys()
    for name, tensor in loaded.items():
        assert tensor.equal(weights[name]), name
        torch.testing.assert_close(tensor, plain[name], atol=0.01, rtol=0)
    assert any(not tensor.equal(plain[name]) for name, tensor in loaded.items())


def test_a_packed_base_with_a_missing_weight_is_refused(tiny_bert: Path, tmp_path: Path):
    name = "encoder.layer.0.attention.self.query.weight"
    folder = packed_base(tiny_bert, tmp_path, without=name)
    with pytest.raises(ModelError, match=rf"lacks 1 weights of its architecture, e\.g\. {name}"):
        load_backbone(tiny_parts(folder))


def test_a_packed_base_for_another_architecture_is_refused(tiny_bert: Path, tmp_path: Path):
    folder = packed_base(tiny_bert, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    with pytest.raises(ModelError, match="cannot load base"):
        load_backbone(tiny_parts(folder))


def test_packing_the_same_weights_again_writes_the_same_file(tmp_path: Path):
    """Every bundle contains the hash of its base, so packing must be deterministic."""
    weights = {name: matrix(seed=n) for n, name in enumerate("abcdef")}
    files = {packed(tmp_path, weights).read_bytes() for _ in range(5)}
    assert len(files) == 1
