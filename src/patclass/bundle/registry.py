"""Bundles by name: a folder of versions with its champion, and the default bundle."""

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from patclass.bundle.description import LAYOUT
from patclass.bundle.manifest import check_manifest, refuse_link
from patclass.core.errors import BundleError, cannot_write
from patclass.core.files import atomic_folder, atomic_write, file_lock, write_json

POINTER = "champion.json"
LOCK = ".champion.lock"
ADD_LOCK = ".add.lock"

_FOLDER = re.compile(r"\d{4,}")


class Pointer(BaseModel):
    """``champion.json``: folders in the registry; ``before`` has the last champion last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    champion: str
    before: tuple[str, ...] = ()


class Registry:
    """The versions in a folder, numbered from 0001 on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        """Whether there is a champion."""
        return (self.folder / POINTER).is_file()

    def pointer(self) -> Pointer:
        """The champion and those before it.

        :raises BundleError: if there is none yet, or the file is damaged.
        """
        path = self.folder / POINTER
        refuse_link(path)
        if not path.is_file():
            raise BundleError(
                f"{self.folder} has no champion yet; make one with 'patclass models promote "
                "FOLDER'."
            )
        try:
            pointer = Pointer.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as problem:
            raise BundleError(f"{path} is damaged: {problem}") from problem
        for name in (pointer.champion, *pointer.before):
            if not _FOLDER.fullmatch(name):
                raise BundleError(f"{path} is damaged: '{name}' is no version's folder.")
        return pointer

    def champion(self) -> Path:
        """The champion's bundle.

        :raises BundleError: if there is none yet, the pointer is damaged, or it is a link.
        """
        folder = self.folder / self.pointer().champion
        refuse_link(folder)
        return folder

    def folders(self) -> list[Path]:
        """The bundles of all versions, oldest first.

        :raises BundleError: if one is a link.
        """
        if not self.folder.is_dir():
            return []
        there = [path for path in self.folder.iterdir() if _FOLDER.fullmatch(path.name)]
        for path in there:
            refuse_link(path)
        return sorted(path for path in there if (path / LAYOUT.manifest).is_file())

    def next_folder(self) -> Path:
        """An empty folder where the next version goes, made so that nobody else gets it.

        :raises OutputError: if it cannot be made.
        """
        while True:
            taken = [path for path in self.folder.glob("*") if _FOLDER.match(path.name)]
            numbers = [int(re.split(r"\D", path.name)[0]) for path in taken]
            folder = self.folder / f"{max(numbers, default=0) + 1:04}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:  # somebody was quicker
                continue
            except OSError as problem:
                raise cannot_write(self.folder, problem) from problem
            return folder

    def add(self, bundle: Path) -> Path:
        """Copy a bundle in as the next version.

        :raises BundleError: if it is damaged; nothing of it is kept then.
        :raises OutputError: if the disk is full or the folder cannot be written.
        """
        names = check_manifest(bundle).files
        target = self.next_folder()
        try:
            with atomic_folder(target, LAYOUT.manifest) as partial:
                for name in (*names, LAYOUT.manifest):
                    (partial / name).parent.mkdir(exist_ok=True)
                    shutil.copyfile(bundle / name, partial / name, follow_symlinks=False)
                check_manifest(partial)  # what was exchanged while it was copied is noticed here
        except BaseException:
            with suppress(OSError):  # a folder that was filled stays
                target.rmdir()
            raise
        return target

    def promote(self, name: str, over: str | None = None) -> None:
        """Make a version the champion.

        :param over: the champion that it was found to be better than; None for whichever it is.
        :raises BundleError: if another one has become the champion meanwhile.
        :raises OutputError: if the pointer cannot be written.
        """
        with self.lock(LOCK):
            before: tuple[str, ...] = ()
            if self.exists:
                pointer = self.pointer()
                if pointer.champion == name:
                    return
                if over not in (None, pointer.champion):
                    raise BundleError(
                        f"{name} was compared with {over}, but {pointer.champion} has become the "
                        f"champion meanwhile; compare again: patclass models promote {name}"
                    )
                before = (*pointer.before, pointer.champion)
            self._point(Pointer(champion=name, before=before))

    def former(self) -> Path:
        """The champion before this one.

        :raises BundleError: if there was none, or its bundle is gone.
        """
        pointer = self.pointer()
        if not pointer.before:
            raise BundleError(f"{self.folder}: {pointer.champion} is the first champion there was.")
        folder = self.folder / pointer.before[-1]
        refuse_link(folder)
        if not (folder / LAYOUT.manifest).is_file():
            raise BundleError(f"{folder} is gone; promote another version.")
        return folder

    def roll_back(self, name: str) -> None:
        """Make the champion before this one the champion again.

        :param name: of its folder.
        :raises BundleError: if it is not that any more, or its bundle is gone.
        :raises OutputError: if the pointer cannot be written.
        """
        with self.lock(LOCK):
            if self.former().name != name:
                raise BundleError(
                    f"another version than {name} has become the champion before this one "
                    "meanwhile; see 'patclass models list'."
                )
            self._point(Pointer(champion=name, before=self.pointer().before[:-1]))

    def lock(self, name: str, blocking: bool = True) -> AbstractContextManager[None]:
        """Hold a lock file in the folder, see ``core.files.file_lock``.

        :raises OutputError: if the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise cannot_write(self.folder, problem) from problem
        return file_lock(self.folder / name, blocking)

    def _point(self, pointer: Pointer) -> None:
        with atomic_write(self.folder / POINTER) as partial:
            write_json(partial, pointer.model_dump())


def champion_in(place: Path) -> Path:
    """The champion of a registry, or ``place`` itself if it is none.

    :raises BundleError: if the pointer is damaged.
    """
    registry = Registry(place)
    return registry.champion() if registry.exists else place


SHIPPED = "shipped"
VARIABLE = "PATCLASS_MODEL"


def locate(model: str | Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of ``model``, else of PATCLASS_MODEL, else of the shipped bundle.

    For a registry it is the folder of its champion.

    :raises BundleError: if this installation has no shipped bundle, or a registry is damaged.
    """
    wanted = str(model) if model is not None else environment.get(VARIABLE) or None
    return _shipped() if wanted in (None, SHIPPED) else champion_in(Path(wanted))


def display_name(folder: Path) -> str:
    """How a bundle is named to users: ``shipped``, or its folder."""
    return SHIPPED if folder == _shipped_folder() else str(folder)


def _shipped_folder() -> Path:
    return Path(str(resources.files("patclass") / "shipped"))


def _shipped() -> Path:
    folder = _shipped_folder()
    if not (folder / LAYOUT.manifest).is_file():
        raise BundleError(
            "this installation holds no shipped model: train one with 'patclass train', or name "
            f"another bundle, for example by {VARIABLE}."
        )
    return folder
