"""API keys, stored in a file as hashes. Knows no HTTP.

A key is shown once, when it is created: ``pk_<id>_<secret>``. The file has its id, name, role, time
of creation and the SHA-256 of the secret, so it does not suffice to call the service.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from patclass.core.errors import ConfigError
from patclass.core.files import atomic_write, check_writable, file_lock, write_json

VARIABLE = "PATCLASS_KEYS"
DEFAULT_FILE = "patclass-keys.json"
MAX_NAME = 100

_PRESENTED = re.compile(r"pk_(?P<id>[0-9a-f]{8})_(?P<secret>[A-Za-z0-9_-]{43})")
# Compared with the secret of an unknown id; no known secret has this digest.
_NO_DIGEST = "0" * 64


class Role(StrEnum):
    """The permissions of a key."""

    USER = "user"
    ADMIN = "admin"


class _Frozen(BaseModel):
    # Validation messages must not repeat a digest.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Key(_Frozen):
    """A stored key."""

    id: str = Field(pattern="^[0-9a-f]{8}$")
    name: str
    role: Role
    created: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", repr=False)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _is_valid_name(name):
            raise ValueError(f"a name has 1 to {MAX_NAME} printable characters")
        return name


class _Stored(_Frozen):
    version: Literal[1]
    keys: tuple[Key, ...]

    @field_validator("keys")
    @classmethod
    def _check_unique_ids(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if len({key.id for key in keys}) < len(keys):
            raise ValueError("an id occurs twice")
        return keys


_Signature = tuple[int, ...]
_Content = tuple[_Signature | None, dict[str, Key]]


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The file of keys: ``PATCLASS_KEYS``, else ``patclass-keys.json``."""
    return Path(environment.get(VARIABLE) or DEFAULT_FILE)


class KeyFile:
    """A file of keys that several processes and threads may read and change concurrently.

    A missing file has no keys. Changes by others take effect immediately. A file that other users
    could write is refused: they could add a key of their own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cached: _Content | None = None

    def create(self, name: str, role: Role) -> str:
        """Create a key and return it; it cannot be read again.

        Names may repeat, so that an old key can stay valid until the new one is in use.

        :raises ConfigError: if the name is not valid, or the file is damaged or not private.
        :raises OutputError: if the file cannot be written.
        """
        if not _is_valid_name(name):
            raise ConfigError(
                f"{name!r} is no valid name of a key: expected 1 to {MAX_NAME} printable "
                "characters, not only spaces, e.g. the person or program that will use the key."
            )
        secret = secrets.token_urlsafe(32)
        with self._locked():
            _, keys = self._read()
            key = _new_key(_free_id(keys), name, role, secret)
            self._write([*keys.values(), key])
        return f"pk_{key.id}_{secret}"

    def revoke(self, id: str) -> None:
        """Delete a key.

        :raises ConfigError: if there is no key of that id, or the file is damaged.
        :raises OutputError: if the file cannot be written.
        """
        self._without(id)  # before the lock, so that a wrong id or file leaves no lock file
        with self._locked():
            self._write(self._without(id))

    def list(self) -> tuple[Key, ...]:
        """All keys, the oldest first.

        :raises ConfigError: if the file is damaged, not private or cannot be read.
        """
        return tuple(self._keys().values())

    def check(self, presented: str) -> Key | None:
        """The stored key of a presented one; None if it is not valid.

        :raises ConfigError: if the file is damaged, not private or cannot be read.
        """
        parts = _PRESENTED.fullmatch(presented)
        if parts is None:
            return None
        key = self._keys().get(parts["id"])
        # An unknown id takes the same comparison, so that response times do not reveal ids.
        expected = _NO_DIGEST if key is None else key.sha256
        return key if hmac.compare_digest(_digest(parts["secret"]), expected) else None

    def _keys(self) -> dict[str, Key]:
        content = self._cached
        if content is None or content[0] != self._signature():
            content = self._cached = self._read()
        return content[1]

    def _signature(self) -> _Signature | None:
        try:
            return _signature_of(self.path.stat())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _cannot_read(self.path, error) from error

    def _read(self) -> _Content:
        try:
            with self.path.open("rb") as file:
                # Of the open file: it may have been replaced since.
                status = os.fstat(file.fileno())
                _check_owner(self.path, status)
                return _signature_of(status), _parse(self.path, file.read())
        except FileNotFoundError:
            return None, {}
        except OSError as error:
            raise _cannot_read(self.path, error) from error

    def _without(self, id: str) -> Iterable[Key]:
        _, keys = self._read()
        if id not in keys:
            existing = f"there are {', '.join(keys)}" if keys else "there are none"
            raise ConfigError(
                f"{self.path} has no key with the id {id!r}: {existing}. 'patclass keys list' "
                "lists them."
            )
        return [key for key in keys.values() if key.id != id]

    def _write(self, keys: Iterable[Key]) -> None:
        stored = _Stored(version=1, keys=tuple(keys))
        with atomic_write(self._target()) as partial:
            # In a container a killed process may have left a file of the same process id.
            partial.unlink(missing_ok=True)
            # Not readable by others from the start; writing keeps the mode.
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            write_json(partial, stored.model_dump(mode="json"))
        self._cached = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclusive access for read and write, so that no concurrent change is lost."""
        target = self._target()
        check_writable(target)
        # A file of its own, as that of the keys is replaced.
        with file_lock(target.with_name(f".{target.name}.lock")):
            yield

    def _target(self) -> Path:
        """The resolved file: replacing a link to it would leave revoked keys valid elsewhere."""
        return Path(os.path.realpath(self.path))


def _is_valid_name(name: str) -> bool:
    return len(name) <= MAX_NAME and name.isprintable() and bool(name.strip())


def _free_id(keys: Mapping[str, Key]) -> str:
    id = secrets.token_hex(4)
    while id in keys:
        id = secrets.token_hex(4)
    return id


def _new_key(id: str, name: str, role: Role, secret: str) -> Key:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Key(id=id, name=name, role=role, created=now, sha256=_digest(secret))


def _digest(secret: str) -> str:
    # Salted slow hashes protect guessable or repeated passwords. A secret of 256 random bits is
    # neither, so a plain hash suffices and takes no time at each request.
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _signature_of(status: os.stat_result) -> _Signature:
    times = status.st_mtime_ns, status.st_ctime_ns
    return *times, status.st_size, status.st_ino, status.st_mode, status.st_uid


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Refuse a file that another user than root and the one that runs this could change.

    :raises ConfigError: with the command that mends it.
    """
    if status.st_mode & 0o022:
        raise ConfigError(
            f"the keys in {path} can be changed by other users, who could add one of their own: "
            f"chmod go-w {path}",
            setting="keys",
        )
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"the keys in {path} belong to another user (id {status.st_uid}), who could add one: "
            f"chown {os.geteuid()} {path}, or run patclass as that user.",
            setting="keys",
        )


def _parse(path: Path, content: bytes) -> dict[str, Key]:
    try:
        return {key.id: key for key in _Stored.model_validate_json(content).keys}
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise ConfigError(
            f"{path} is damaged ({place}: {first['msg']}). Restore it from a backup, use the "
            "release of patclass that wrote it, or move it away and create new keys."
        ) from error


def _cannot_read(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot read the keys in {path}: {error.strerror or error}. Run patclass as the user "
        f"that owns the file, or choose another file with keys or {VARIABLE}.",
        setting="keys",
    )
