"""The list of a bundle's files with their hashes, and what they hold. Knows no meaning of it."""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from patclass.bundle.description import FORMAT, LAYOUT, VERSION, Manifest
from patclass.core.errors import BundleError
from patclass.core.files import file_sha256, parse_json, write_json

# Many times what the largest set of labels needs. In memory, JSON takes up to thirty times more.
MOST_JSON = 32 * 2**20

_PLAIN = re.compile(r"[\w.+-]+(/[\w.+-]+)?", re.ASCII)

Model = TypeVar("Model", bound=BaseModel)


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


@dataclass(frozen=True)
class Listed:
    """The files that a bundle's manifest lists, each with its hash; all others are not read.

    :param sha256: of the manifest, from which the hashes were read.
    """

    folder: Path
    files: dict[str, str]
    sha256: str

    def read(self, name: str) -> bytes | None:
        """A file; None if it is not listed.

        What is hashed is what is returned: a file may be exchanged after it was checked.

        :raises BundleError: if it cannot be read or was altered.
        """
        expected = self.files.get(name)
        if expected is None:
            return None
        try:
            data = (self.folder / name).read_bytes()
        except OSError as problem:
            raise BundleError(f"cannot read {self.folder / name}: {problem.strerror}.") from problem
        self._compare(name, hashlib.sha256(data).hexdigest(), expected)
        return data

    def parse(self, name: str, kind: type[Model]) -> Model | None:
        """A JSON file as a record; None if it is not listed.

        :raises BundleError: naming where it is damaged.
        """
        data, path = self.read(name), self.folder / name
        return None if data is None else validated(parse_json_of(path, data), path, kind)

    def check(self) -> None:
        """Compare every file with its hash.

        :raises BundleError: naming the first that is missing or altered.
        """
        for name, expected in self.files.items():
            path = self.folder / name
            if not path.is_file():
                raise BundleError(
                    f"{self.folder}: {name} is missing. Copy the bundle again as a whole."
                )
            self._compare(name, file_sha256(path, BundleError), expected)

    def _compare(self, name: str, actual: str, expected: str) -> None:
        if actual != expected:
            raise BundleError(
                f"{self.folder}: {name} was altered (SHA-256 {actual[:12]}…, expected "
                f"{expected[:12]}…). Copy the bundle again, or train it again."
            )

    def require(self, names: Iterable[str]) -> None:
        """Refuse a bundle that lacks a file.

        :raises BundleError: naming the first of ``names`` that is not listed.
        """
        for name in names:
            if name not in self.files:
                raise BundleError(
                    f"{self.folder}: the manifest lists no {name}; the bundle is incomplete."
                )


def check_manifest(folder: Path) -> Listed:
    """Compare every file of a bundle with the manifest.

    :raises BundleError: naming the first file that is missing, altered, not listed, a link, or
        outside of the folder.
    """
    path = folder / LAYOUT.manifest
    if not path.is_file():
        raise BundleError(
            f"{folder} is not a bundle: it has no {LAYOUT.manifest}. Make one with "
            "'patclass train', or name the folder of one."
        )
    refuse_link(path)
    listed = _read_manifest(folder)
    listed.require(LAYOUT.required)
    for name in listed.files:
        if Path(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BundleError(f"{folder}: the manifest names '{name}' outside of the bundle.")
        if not _PLAIN.fullmatch(name) or str(PurePosixPath(name)) != name:
            raise BundleError(
                f"{folder}: the manifest names '{name}', which is no plain name of a file."
            )
    _refuse_others(folder, listed)
    listed.check()
    return listed


def _refuse_others(folder: Path, listed: Listed, above: str = "") -> None:
    """Refuse what is in a bundle but not listed, and links.

    :raises BundleError: naming the first.
    """
    try:
        entries = sorted(os.listdir(folder / above))
    except OSError as problem:
        raise BundleError(f"cannot read {folder / above}: {problem.strerror}.") from problem
    folders = {name.rpartition("/")[0] for name in listed.files}
    for entry in entries:
        name = f"{above}{entry}"
        refuse_link(folder / name)
        if not above and name in folders and (folder / name).is_dir():
            _refuse_others(folder, listed, f"{name}/")
        elif name not in (LAYOUT.manifest, *listed.files):
            raise BundleError(
                f"{folder}: {name} is not listed in {LAYOUT.manifest}, so that it is no part of "
                "the bundle. Move it away."
            )


def refuse_link(path: Path) -> None:
    """Refuse what may be exchanged from outside, or be a file that nobody meant to show.

    :raises BundleError: if it is a link.
    """
    if path.is_symlink():
        raise BundleError(
            f"{path} is a link; bundles and registries hold their files themselves. If you trust "
            "what it leads to, copy that into its place."
        )


def _read_manifest(folder: Path) -> Listed:
    path = folder / LAYOUT.manifest
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise BundleError(f"cannot read {path}: {problem.strerror}.") from problem
    data = parse_json_of(path, raw)
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version != VERSION:
        way = "install a newer patclass" if version > VERSION else "train or export it again"
        raise BundleError(
            f"{folder} has bundle format {version}; this release reads format {VERSION}: {way}."
        )
    manifest = validated(data, path, Manifest)
    return Listed(folder, manifest.files, hashlib.sha256(raw).hexdigest())


def parse_json_of(path: Path, data: bytes) -> Any:
    """What a file of JSON holds.

    :raises BundleError: if it is none, or is longer than any real one.
    """
    if len(data) > MOST_JSON:
        raise BundleError(
            f"{path} is damaged: it has {len(data):,} bytes; at most {MOST_JSON:,} are read."
        )
    try:
        return parse_json(data)
    except ValueError as problem:
        raise BundleError(f"{path} is damaged: {problem}") from problem


def validated(data: Any, path: Path, kind: type[Model], context: object = None) -> Model:
    """The record that a file of JSON holds.

    :param context: for the validators of ``kind``.
    :raises BundleError: naming where it is damaged.
    """
    try:
        return kind.model_validate(data, context=context)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleError(f"{path} is damaged at '{where}': {first['msg'].lower()}.") from problem
