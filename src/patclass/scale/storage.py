"""Folders of files, on a disk or in an object store, by path or URL.

Knows nothing of what the files contain. Object stores are those of Arrow: ``s3://bucket/folder``,
``gs://bucket/folder``; they take their keys from the environment, as the stores' own tools do.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from patclass.core.errors import ConfigError, DataError, OutputError, cannot_write
from patclass.core.files import atomic_write


@dataclass(frozen=True)
class StoredFile:
    """A file of a folder; two of the same name, size and time are taken to be the same.

    :param name: its path within the folder, with slashes.
    :param modified: in nanoseconds since 1970.
    """

    name: str
    size: int
    modified: int


@dataclass(frozen=True)
class Storage:
    """A folder, or a single file, wherever it lies.

    :param url: as it was given; a path is made absolute.
    :param root: its path in the file system.
    """

    url: str
    system: fs.FileSystem
    root: str

    @classmethod
    def of(cls, url: str) -> "Storage":
        """The folder of a URL or path, which need not exist.

        :raises ConfigError: if the URL is of no known kind.
        """
        if "://" not in url:
            path = str(Path(url).absolute())
            return cls(path, fs.LocalFileSystem(), path)
        try:
            system, root = fs.FileSystem.from_uri(url)
        except (pa.ArrowException, OSError, ValueError) as problem:
            raise ConfigError(
                f"{url}: {_reason(problem)}. Give a path, or a URL such as s3://bucket/folder or "
                "gs://bucket/folder."
            ) from problem
        return cls(url, system, root)

    @property
    def local(self) -> Path | None:
        """Its path on a disk; None in an object store."""
        return Path(self.root) if isinstance(self.system, fs.LocalFileSystem) else None

    def is_file(self) -> bool:
        """Whether it is a single file.

        :raises DataError: if the store cannot be asked.
        """
        return bool(self._info("").type == fs.FileType.File)

    def files(self) -> list[StoredFile]:
        """All files below it by name; a single file is its own only one, with its last name.

        Hidden files, and those of folders that begin with an underscore, are left out.

        :raises DataError: if there is no such folder, or it cannot be listed.
        """
        found = self._info("")
        if found.type == fs.FileType.NotFound:
            raise DataError(f"{self.url} does not exist.")
        if found.type == fs.FileType.File:
            return [_stored(found, found.base_name)]
        try:
            infos = self.system.get_file_info(fs.FileSelector(self.root, recursive=True))
        except (pa.ArrowException, OSError) as problem:
            raise DataError(f"cannot list {self.url}: {_reason(problem)}.") from problem
        start = len(self.root.rstrip("/")) + 1
        files = [_stored(i, i.path[start:]) for i in infos if i.type == fs.FileType.File]
        shown = [file for file in files if not _is_hidden(file.name)]
        return sorted(shown, key=lambda file: file.name)

    def names(self, folder: str) -> set[str]:
        """Names of the files of a folder of it; none if it is not there.

        :raises DataError: if it cannot be listed.
        """
        selector = fs.FileSelector(self.path(folder), allow_not_found=True)
        try:
            return {info.base_name for info in self.system.get_file_info(selector)}
        except (pa.ArrowException, OSError) as problem:
            raise DataError(f"cannot list {self.url}: {_reason(problem)}.") from problem

    def path(self, name: str) -> str:
        """The path of a file of it in the file system."""
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it is not there.

        :raises DataError: if it cannot be read.
        """
        if self._info(name).type != fs.FileType.File:
            return None
        try:
            with self.system.open_input_stream(self.path(name)) as stream:
                return bytes(stream.read())
        except (pa.ArrowException, OSError) as problem:
            raise DataError(f"cannot read {name} of {self.url}: {_reason(problem)}.") from problem

    def parquet_rows(self, name: str) -> int:
        """The rows of a Parquet file, by its end alone.

        :raises DataError: if it is none, or cannot be read.
        """
        path = self.root if self.is_file() else self.path(name)
        try:
            with self.system.open_input_file(path) as file:
                return int(pq.read_metadata(file).num_rows)
        except (pa.ArrowException, OSError) as problem:
            raise DataError(
                f"{name} of {self.url} is not a readable Parquet file: {_reason(problem)}."
            ) from problem

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """A file as one on a disk: itself, or a copy for the time being.

        :raises DataError: if it cannot be read.
        """
        if self.local is not None:
            yield Path(self.path(name))
            return
        with tempfile.TemporaryDirectory(prefix="patclass-") as folder:
            copy = Path(folder) / Path(name or self.root).name
            try:
                fs.copy_files(self.path(name), str(copy), self.system, fs.LocalFileSystem())
            except (pa.ArrowException, OSError) as problem:
                reason = _reason(problem)
                raise DataError(f"cannot read {name} of {self.url}: {reason}.") from problem
            yield copy

    @contextmanager
    def written(self, name: str) -> Iterator[Path]:
        """A path to write to, which becomes the file when the block succeeds, whole or not at all.

        :raises OutputError: if it cannot be written.
        """
        if self.local is not None:
            with atomic_write(self.local / name) as partial:
                yield partial
            return
        with tempfile.TemporaryDirectory(prefix="patclass-") as folder:
            partial = Path(folder) / Path(name).name
            yield partial
            try:
                fs.copy_files(str(partial), self.path(name), fs.LocalFileSystem(), self.system)
            except (pa.ArrowException, OSError) as problem:
                raise _unwritable(self, name, problem) from problem

    def write(self, name: str, content: str) -> None:
        """Write a small file, whole or not at all.

        :raises OutputError: if it cannot be written.
        """
        with self.written(name) as path:
            path.write_text(content, encoding="utf-8")

    def _info(self, name: str) -> fs.FileInfo:
        try:
            return self.system.get_file_info(self.path(name))
        except (pa.ArrowException, OSError) as problem:
            raise DataError(f"{self.url} cannot be reached: {_reason(problem)}.") from problem


def _stored(info: fs.FileInfo, name: str) -> StoredFile:
    return StoredFile(name, int(info.size or 0), int(info.mtime_ns or 0))


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _reason(problem: Exception) -> str:
    return str(problem).splitlines()[0].rstrip(".")


def _unwritable(storage: Storage, name: str, problem: Exception) -> OutputError:
    error = problem if isinstance(problem, OSError) else OSError(_reason(problem))
    return cannot_write(f"{name} of {storage.url}", error)
