"""The keys that callers of the service present, kept in a file as hashes. Knows no HTTP.

A key is shown once, when it is made: ``pk_<id>_<secret>``. The file has its id, name, role, time
and the SHA-256 of the secret, so who reads the file cannot call the service.
"""

import fcntl
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

from patclass.core.errors import ConfigError, cannot_write
from patclass.core.files import atomic_write, check_writable, write_json

VARIABLE = "PATCLASS_KEYS"
DEFAULT_FILE = "patclass-keys.json"
MAX_NAME = 100

_PRESENTED = re.compile(r"pk_(?P<id>[0-9a-f]{8})_(?P<secret>[A-Za-z0-9_-]{43})")
# What an unknown id is compared with; no secret is known to have this digest.
_NO_DIGEST = "0" * 64


class Role(StrEnum):
    """What the holder of a key may do."""

    USER = "user"
    ADMIN = "admin"


class _Frozen(BaseModel):
    # A digest that does not fit is not repeated in a message.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Key(_Frozen):
    """What is kept of a key."""

    id: str = Field(pattern="^[0-9a-f]{8}$")
    name: str
    role: Role
    created: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", repr=False)

    @field_validator("name")
    @classmethod
    def _can_be_shown(cls, name: str) -> str:
        if not _is_name(name):
            raise ValueError(f"a name has 1 to {MAX_NAME} printable characters")
        return name


class _Stored(_Frozen):
    version: Literal[1]
    keys: tuple[Key, ...]

    @field_validator("keys")
    @classmethod
    def _has_each_id_once(cls, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if len({key.id for key in keys}) < len(keys):
            raise ValueError("an id occurs twice")
        return keys


_Signature = tuple[int, int, int]
_Found = tuple[_Signature | None, dict[str, Key]]


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the keys are unless a file is named."""
    return Path(environment.get(VARIABLE) or DEFAULT_FILE)


class KeyFile:
    """A file of keys that several processes and threads may read and change at once.

    A missing file has no keys. What others change in it counts at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cached: _Found | None = None

    def create(self, name: str, role: Role) -> str:
        """Make a key and return it whole, which is the only time that anyone sees it.

        Names may repeat, so that a caller's old key can stay until the new one is in use.

        :raises ConfigError: if the name does not fit or the file is damaged.
        :raises OutputError: if the file cannot be written.
        """
        if not _is_name(name):
            raise ConfigError(
                f"{name!r} cannot name a key: a name has 1 to {MAX_NAME} printable characters, "
                "not only spaces. Name who or what will use the key."
            )
        secret = secrets.token_urlsafe(32)
        with self._locked():
            _, keys = self._read()
            key = _new_key(_free_id(keys), name, role, secret)
            self._write([*keys.values(), key])
        return f"pk_{key.id}_{secret}"

    def revoke(self, id: str) -> None:
        """Forget a key.

        :raises ConfigError: if there is no key of that id, or the file is damaged.
        :raises OutputError: if the file cannot be written.
        """
        self._without(id)  # before the lock, so that a wrong id or file leaves nothing behind
        with self._locked():
            self._write(self._without(id))

    def list(self) -> tuple[Key, ...]:
        """All keys, the oldest first.

        :raises ConfigError: if the file is damaged or cannot be read.
        """
        return tuple(self._keys().values())

    def check(self, presented: str) -> Key | None:
        """The key that was presented, or None if it is not one of these.

        :raises ConfigError: if the file is damaged or cannot be read.
        """
        parts = _PRESENTED.fullmatch(presented)
        if parts is None:
            return None
        key = self._keys().get(parts["id"])
        # An unknown id costs the same comparison, so that the time taken tells nobody the ids.
        expected = _NO_DIGEST if key is None else key.sha256
        return key if hmac.compare_digest(_digest(parts["secret"]), expected) else None

    def _keys(self) -> dict[str, Key]:
        found = self._cached
        if found is None or found[0] != self._signature():
            found = self._cached = self._read()
        return found[1]

    def _signature(self) -> _Signature | None:
        try:
            return _signature_of(self.path.stat())
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise _cannot_read(self.path, problem) from problem

    def _read(self) -> _Found:
        try:
            with self.path.open("rb") as file:
                # Of the open file: the one of that name may be another by now.
                signature = _signature_of(os.fstat(file.fileno()))
                return signature, _parse(self.path, file.read())
        except FileNotFoundError:
            return None, {}
        except OSError as problem:
            raise _cannot_read(self.path, problem) from problem

    def _without(self, id: str) -> Iterable[Key]:
        _, keys = self._read()
        if id not in keys:
            known = f"there are {', '.join(keys)}" if keys else "there are none"
            raise ConfigError(
                f"{self.path} has no key of id {id!r}: {known}. 'patclass keys list' shows them."
            )
        return [key for key in keys.values() if key.id != id]

    def _write(self, keys: Iterable[Key]) -> None:
        stored = _Stored(version=1, keys=tuple(keys))
        with atomic_write(self._target()) as partial:
            # In a container every process may have the number of one that was killed here.
            partial.unlink(missing_ok=True)
            # Never readable by others, not even while it is empty; writing keeps the mode.
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            write_json(partial, stored.model_dump(mode="json"))
        self._cached = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one caller at a time read and then write, or a key that another made is lost."""
        target = self._target()
        check_writable(target)
        # Beside the keys, as their file is replaced; never deleted, or two could hold "the" lock.
        lock = target.with_name(f".{target.name}.lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise cannot_write(lock, problem) from problem
        try:
            # flock belongs to the descriptor and so also parts threads; lockf would not.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _target(self) -> Path:
        """The file itself: replacing a link to it would leave revoked keys valid elsewhere."""
        return Path(os.path.realpath(self.path))


def _is_name(name: str) -> bool:
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
    # Slow hashes and salts protect passwords that can be guessed or occur twice. A secret of
    # 256 random bits is neither, so a plain hash is enough and costs no time at each request.
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _signature_of(found: os.stat_result) -> _Signature:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _parse(path: Path, content: bytes) -> dict[str, Key]:
    try:
        return {key.id: key for key in _Stored.model_validate_json(content).keys}
    except ValidationError as problem:
        first = problem.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise ConfigError(
            f"{path} is damaged ({place}: {first['msg']}). Restore it from a copy, use the release "
            "of patclass that wrote it, or move it away and make new keys."
        ) from problem


def _cannot_read(path: Path, problem: OSError) -> ConfigError:
    return ConfigError(
        f"cannot read {path}: {problem.strerror or problem}. Run patclass as the user "
        f"that owns the file, or name another with keys or {VARIABLE}.",
        setting="keys",
    )
