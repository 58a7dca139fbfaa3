import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, quants
from safetensors.torch import load_file

from patclass.core.errors import ModelError
from patclass.model import gguf as gguf_module
from patclass.model.base import resolve_base
from patclass.model.network import load_backbone
from tiny_parts import TEXTS, tiny_batch, tiny_parts

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
EIGHT_BITS = GGMLQuantizationType.Q8_0


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_gguf(
    base: Path, path: Path, architecture: str = "llama", eight_bits: bool = False
) -> Path:
    """A Llama's folder as the file that llama.cpp's converter would write."""
    config = json.loads((base / "config.json").read_text())
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    vocabulary = tokenizer["model"]["vocab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(vocabulary, key=vocabulary.__getitem__))
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(True)
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, tensor in load_file(base / "model.safetensors").items():
        value = interleaved(tensor.numpy(), heads.get(name.split(".")[-2]))
        if eight_bits and value.ndim == 2:
            packed = quants.quantize(value, EIGHT_BITS)
            writer.add_tensor(name_in_gguf(name), packed, raw_dtype=EIGHT_BITS)
        else:
            writer.add_tensor(name_in_gguf(name), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def name_in_gguf(name: str) -> str:
    plain = name.removeprefix("model.")
    whole = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
    if plain.removesuffix(".weight") in whole:
        return f"{whole[plain.removesuffix('.weight')]}.weight"
    _, number, rest = plain.split(".", 2)
    return f"blk.{number}.{NAMES[rest.removesuffix('.weight')]}.weight"


def interleaved(weight: np.ndarray, heads: int | None) -> np.ndarray:
    """The halves of each head in turns, as llama.cpp rotates neighbours."""
    if heads is None:
        return weight
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def states(folder: Path, source: Path) -> torch.Tensor:
    batch = tiny_batch(source)
    with torch.no_grad():
        backbone = load_backbone(tiny_parts(folder)).eval()
        return backbone(batch.input_ids, batch.attention_mask).last_hidden_state


def test_a_file_of_floats_is_the_model_that_it_was_made_of(tiny_llama: Path, tmp_path: Path):
    path = write_gguf(tiny_llama, tmp_path / "tiny.gguf")
    found = resolve_base(str(path))
    assert found.name == str(path)
    assert found.source == str(found.folder)
    assert found.config["model_type"] == "llama"
    torch.testing.assert_close(states(path, tiny_llama), states(tiny_llama, tiny_llama))


def test_weights_of_eight_bits_become_floats(tiny_llama: Path, tmp_path: Path):
    path = write_gguf(tiny_llama, tmp_path / "tiny.gguf", eight_bits=True)
    folder = resolve_base(str(path)).folder
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    assert {t.dtype for t in load_file(folder / "model.safetensors").values()} == {torch.float32}
    rounded, exact = states(path, tiny_llama), states(tiny_llama, tiny_llama)
    error = float((rounded - exact).norm() / exact.norm())
    assert 0 < error < 0.05


def test_its_tokens_are_those_of_the_original(tiny_llama: Path, tmp_path: Path):
    from patclass.model.tokenizer import TextTokenizer

    path = write_gguf(tiny_llama, tmp_path / "tiny.gguf")
    found = TextTokenizer.load(resolve_base(str(path)).folder, 64)
    assert found.token_ids(TEXTS) == TextTokenizer.load(tiny_llama, 64).token_ids(TEXTS)


def test_it_is_converted_once_and_always_to_the_same_bytes(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_gguf(tiny_llama, tmp_path / "tiny.gguf")
    first = resolve_base(str(path))
    with monkeypatch.context() as patch:
        patch.setattr(gguf_module, "_convert", lambda *_: pytest.fail("converted again"))
        assert resolve_base(str(path)) == first
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    second = resolve_base(str(path))
    assert second.folder != first.folder
    assert second.sha256 == first.sha256


def test_a_moved_file_is_found_on_the_search_path(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_gguf(tiny_llama, tmp_path / "tiny.gguf")
    monkeypatch.setenv("PATCLASS_BASE_PATH", str(tmp_path))
    assert resolve_base("/gone/tiny.gguf").name == str(path)


def test_another_architecture_is_named(tiny_llama: Path, tmp_path: Path):
    path = write_gguf(tiny_llama, tmp_path / "other.gguf", architecture="clip")
    with pytest.raises(ModelError, match=r"other\.gguf .*architecture 'clip'; .*llama"):
        resolve_base(str(path))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 64])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.gguf"):
        resolve_base(str(path))


def test_a_cut_file_is_named_and_nothing_is_kept(tiny_llama: Path, tmp_path: Path):
    path = write_gguf(tiny_llama, tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ModelError, match=r"cannot read .*cut\.gguf"):
        resolve_base(str(path))
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_folder_that_holds_only_such_a_file_is_told_to_be_named_by_it(
    tiny_llama: Path, tmp_path: Path
):
    write_gguf(tiny_llama, tmp_path / "tiny.gguf")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((tiny_llama / name).read_bytes())
    with pytest.raises(ModelError, match=r"Name its file tiny\.gguf itself"):
        resolve_base(str(tmp_path))
