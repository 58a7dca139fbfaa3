"""The list of a bundle's files with their hashes. Knows no content."""

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from patclass.bundle.description import FORMAT, LAYOUT, VERSION, Manifest
from patclass.core.errors import BundleError
from patclass.core.files import file_sha256, write_json


def write_manifest(folder: Path) -> None:
    """Hash all files of ``folder`` and list them; after this it is a bundle."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path, BundleError) for path in files}
    manifest = Manifest(format=FORMAT, version=VERSION, files=hashes)
    write_json(folder / LAYOUT.manifest, manifest.model_dump())


def manifest_sha256(folder: Path) -> str:
    """The hash over the hashes of all files of a bundle."""
    return file_sha256(folder / LAYOUT.manifest, BundleError)


def fingerprint_of(sha256: str) -> str:
    """The version of a bundle: the first twelve digits of its manifest's hash."""
    return sha256[:12]


def check_manifest(folder: Path) -> Manifest:
    """Compare every listed file with its hash.

    :raises BundleError: naming the first file that is missing, altered or not listed.
    """
    manifest = _read_manifest(folder)
    check_listed(folder, manifest, LAYOUT.required)
    for name, expected in manifest.files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BundleError(f"{folder}: the manifest names '{name}' outside of the bundle.")
        if not path.is_file():
            raise BundleError(f"{folder}: {name} is missing. Copy the bundle again as a whole.")
        actual = file_sha256(path, BundleError)
        if actual != expected:
            raise BundleError(
                f"{folder}: {name} was altered (SHA-256 {actual[:12]}…, expected "
                f"{expected[:12]}…). Copy the bundle again, or train it again."
            )
    return manifest


def check_listed(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Refuse a bundle that lacks a file.

    :raises BundleError: naming the first of ``names`` that is not listed.
    """
    for name in names:
        if name not in manifest.files:
            raise BundleError(f"{folder}: the manifest lists no {name}; the bundle is incomplete.")


def _read_manifest(folder: Path) -> Manifest:
    path = folder / LAYOUT.manifest
    if not path.is_file():
        raise BundleError(
            f"{folder} is not a bundle: it has no {LAYOUT.manifest}. Make one with "
            "'patclass train', or name the folder of one."
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != VERSION:
            way = "install a newer patclass" if version > VERSION else "train or export it again"
            raise BundleError(
                f"{folder} has bundle format {version}; this release reads format {VERSION}: {way}."
            )
        return Manifest.model_validate(data)
    except (ValueError, ValidationError, OSError) as problem:
        raise BundleError(f"{path} is damaged: {problem}") from problem
