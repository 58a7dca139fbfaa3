"""A patent by its number: which office has it, what is needed of it, whether that is enough.

Knows numbers and documents; the offices know their addresses. What they answered is kept in a
folder of bounded size and age, where a file without content says that an office has nothing under
the name.
"""

import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol, Self

from patclass.core.errors import ConfigError, OfficeError, OutputError
from patclass.core.files import atomic_write, user_cache
from patclass.data.documents import Document, RejectedDocument, documents_of
from patclass.data.language import NAMES
from patclass.offices import epo, uspto
from patclass.offices.connection import Connection, Deadline
from patclass.offices.numbers import PublicationNumber
from patclass.offices.patent import OfficePatent
from patclass.offices.settings import OfficesSettings


class _Office(Protocol):
    name: str
    connection: Connection

    def fetch(self, number: PublicationNumber, part: str, deadline: Deadline) -> bytes | None: ...


class Offices:
    """Finds patents; may be used by several threads at once.

    :raises ConfigError: if there are keys for no office.
    """

    def __init__(self, settings: OfficesSettings) -> None:
        self._seconds = settings.seconds
        max_bytes = int(settings.cache_megabytes * 1_000_000)
        self._cache = Cache(settings.cache or user_cache("offices"), settings.cache_days, max_bytes)
        self._offices: dict[str, _Office] = {}
        self._without: dict[str, OfficeError] = {}
        for name, kind in ((epo.NAME, epo.Epo), (uspto.NAME, uspto.Uspto)):
            try:
                self._offices[name] = kind(settings)
            except OfficeError as problem:
                self._without[name] = problem
        if not self._offices:
            raise ConfigError(" ".join(_sentence(each) for each in self._without.values()))

    @classmethod
    def from_environment(cls) -> Self:
        """With the keys and limits of ``PATCLASS_OFFICES_...``.

        :raises ConfigError: if a setting does not fit, or there are keys for no office.
        """
        return cls(OfficesSettings.load({}))

    def close(self) -> None:
        """Close all connections, when all look-ups have ended."""
        for office in self._offices.values():
            office.connection.close()

    def find(
        self, number: str, wanted: Collection[str] = (), seconds: float | None = None
    ) -> OfficePatent:
        """The patent of a number.

        :param wanted: of ``claims`` and ``description``, those to fetch even with an abstract.
        :param seconds: within which it must be found, if less than the setting.
        :raises OfficeError: if it is no number, unknown, without a text, or cannot be had now.
        """
        parsed = PublicationNumber.parse(number)
        if parsed.is_us_design:
            raise OfficeError(
                f"{parsed} is a design patent: designs have drawings but no abstract, and classes "
                "of their own (Locarno).",
                reason="no_text",
            )
        deadline = Deadline(self._seconds if seconds is None else min(seconds, self._seconds))
        problems = []
        for office in self._offices_of(parsed):
            try:
                return self._found(office, parsed, wanted, deadline)
            except OfficeError as problem:
                if problem.reason not in ("unknown_number", "no_text"):
                    raise
                problems.append(problem)
        raise problems[0]

    def _offices_of(self, number: PublicationNumber) -> list[_Office]:
        """Those that may have it, best first: of US patents the EPO has no claims."""
        names = (uspto.NAME, epo.NAME) if number.country == "US" else (epo.NAME,)
        found = [self._offices[name] for name in names if name in self._offices]
        if not found:
            raise OfficeError(str(self._without[names[0]]))
        return found

    def _found(
        self,
        office: _Office,
        number: PublicationNumber,
        wanted: Collection[str],
        deadline: Deadline,
    ) -> OfficePatent:
        record = self._read(office, number, "record", deadline)
        if record is not None:
            return self._complete(office, number, record, wanted, deadline)
        others = "Check number and kind, or leave the kind out."
        if office.name == uspto.NAME and epo.NAME in self._without:
            others += " Patents of before 2001 are only at the EPO, for which there are no keys."
        raise OfficeError(
            f"the {office.name} has no publication {number}. {others}", reason="unknown_number"
        )

    def _complete(
        self,
        office: _Office,
        number: PublicationNumber,
        record: Document,
        wanted: Collection[str],
        deadline: Deadline,
    ) -> OfficePatent:
        """With the parts that are wanted, and those that stand in for a missing abstract."""
        exact = _number_of(record) or number
        abstract = record.abstract if _is_english(record) else ""
        claims = description = ""
        if "claims" in wanted or not abstract:
            claims = "\n".join(self._part(office, exact, record, "claims", deadline).claims)
        if "description" in wanted or not (abstract or claims):
            description = self._part(office, exact, record, "description", deadline).description
        if not (abstract or claims or description):
            raise _no_text(office, exact, record)
        return OfficePatent(
            number=str(exact),
            office=office.name,
            title=record.title or None,
            abstract=abstract or None,
            claims=claims or None,
            description=description or None,
            codes=_codes(record),
        )

    def _part(
        self,
        office: _Office,
        number: PublicationNumber,
        record: Document,
        part: Literal["claims", "description"],
        deadline: Deadline,
    ) -> Document:
        """The document with a part in English: the record itself, else what the office adds."""
        found = record if getattr(record, part) else self._read(office, number, part, deadline)
        return found if found is not None and _is_english(found) else Document(id="")

    def _read(
        self, office: _Office, number: PublicationNumber, part: str, deadline: Deadline
    ) -> Document | None:
        """A part of a publication, from the cache if it is there; None if the office has none."""
        name = f"{office.name}-{number}-{part}"
        content = self._cache.get(name)
        if content is not None:
            return _document(office, number, content)
        with office.connection.turn(deadline):
            content = self._cache.get(name)  # another look-up may have fetched it meanwhile
            if content is None:
                content = office.fetch(number, part, deadline) or b""
            document = _document(office, number, content)
            self._cache.put(name, content)  # only what could be read
            return document


def _document(office: _Office, number: PublicationNumber, content: bytes) -> Document | None:
    """The document of a number in an answer; of several, the first with an abstract.

    :raises OfficeError: if there is none of that number, or none that can be classified.
    """
    if not content:
        return None
    found = list(documents_of(content))
    documents = [each for each in found if isinstance(each, Document)]
    same = [each for each in documents if _is_of(each, number)]
    if same:
        return next((each for each in same if each.abstract), same[0])
    for each in found:
        # One without a number is damaged.
        if isinstance(each, RejectedDocument) and _number_of(each) is not None:
            message = f"{number} cannot be classified: {each.reason}."
            raise OfficeError(message, reason="no_text")
    raise office.connection.unavailable(f"it does not answer with the publication {number}")


def _is_of(document: Document, number: PublicationNumber) -> bool:
    found = _number_of(document)
    return found is not None and number.is_same(found)


def _number_of(document: Document | RejectedDocument) -> PublicationNumber | None:
    try:
        return PublicationNumber.parse(document.id)
    except OfficeError:
        return None


def _is_english(document: Document) -> bool:
    """Whether its text is in English, as far as the office says."""
    return document.language in ("", "en")


def _codes(document: Document) -> tuple[str, ...]:
    """Each symbol once: offices state one for each scheme."""
    return tuple(dict.fromkeys(code.code for code in document.codes))


def _no_text(office: _Office, number: PublicationNumber, record: Document) -> OfficeError:
    only = ", only a title" if record.title else ""
    if record.abstract:
        only = f", only in {NAMES.get(record.language, 'another language')}"
    return OfficeError(
        f"the {office.name} has no text of {number} in English{only}. Look up another publication "
        "of the same family, or classify its text.",
        reason="no_text",
    )


def _sentence(problem: OfficeError) -> str:
    text = str(problem)
    return text[:1].upper() + text[1:]


DAY = 86_400.0

# Nothing else in the folder is ever read or deleted.
_SUFFIX = ".office-reply"

# What an office does not have today it may publish tomorrow.
ABSENT_DAYS = 1.0


class Cache:
    """Files by their names.

    :param folder: created with the first file.
    :param days: age at which a file no longer counts.
    :param max_bytes: of all files; the oldest are deleted first. 0: nothing is kept or read.
    :param now: the time, in seconds since the epoch.
    """

    def __init__(
        self, folder: Path, days: float, max_bytes: int, now: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._days, self._max_bytes, self._now = folder, days, max_bytes, now
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The content of a file, empty if the office has nothing; None if it is to be asked."""
        if not self._max_bytes:
            return None
        path = self._path(name)
        try:
            content = path.read_bytes()
            age = self._now() - path.stat().st_mtime
        except OSError:
            return None
        days = self._days if content else min(self._days, ABSENT_DAYS)
        return content if 0 <= age < days * DAY else None

    def put(self, name: str, content: bytes) -> None:
        """Keep a file, if the folder can be written; what is not kept is asked for again.

        :param name: letters, digits and hyphens.
        """
        if len(content) > self._max_bytes or not self._max_bytes:
            return
        with self._lock, suppress(OutputError, OSError):
            path = self._path(name)
            with atomic_write(path) as partial:
                partial.write_bytes(content)
                now = self._now()
                os.utime(partial, (now, now))
            self._prune()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _prune(self) -> None:
        """Delete what is too old, then the oldest until the rest fits."""
        stats = [(path, path.stat()) for path in self._folder.glob(f"*{_SUFFIX}")]
        newest_first = sorted(stats, key=lambda each: each[1].st_mtime, reverse=True)
        total = 0
        for path, stat in newest_first:
            total += stat.st_size
            if total > self._max_bytes or self._now() - stat.st_mtime > self._days * DAY:
                path.unlink(missing_ok=True)
