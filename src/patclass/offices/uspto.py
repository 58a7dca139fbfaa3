"""The USPTO's Open Data Portal. Knows its addresses and where it puts a document, not its XML."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from patclass.core.errors import OfficeError
from patclass.offices.connection import Connection, Deadline, Pace, Reply, header_value
from patclass.offices.numbers import PublicationNumber
from patclass.offices.settings import PREFIX, OfficesSettings

NAME = "USPTO"
KEYS_AT = "https://data.uspto.gov/myodp"

# Sixty requests a minute, one after the other.
_INTERVAL = 1.0


class Uspto:
    """Fetches US grants and published applications.

    :raises OfficeError: if there is no key.
    """

    name = NAME

    def __init__(
        self, settings: OfficesSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key = _key(settings.uspto_key)
        self.connection = Connection(NAME, settings.uspto_url, Pace(_INTERVAL, clock))

    def fetch(self, number: PublicationNumber, part: str, deadline: Deadline) -> bytes | None:
        """The document with all its parts, by the part ``record``; no other part is needed.

        :return: the XML of the publication; where there is none (of applications before 2001, for
            example), the JSON of the file wrapper; None if the office does not know the number.
        :raises OfficeError: if it does not answer, or refuses the key.
        """
        if part != "record":
            return None
        url = f"{self.connection.url}/api/v1/patent/applications/search"
        record = self._get(url, deadline, {"q": _query(number), "limit": "1"})
        wrapper = None if record is None else self._wrapper(record)
        if wrapper is None:
            return None
        location = self._location(wrapper, number)
        return record if location is None else self._get(location, deadline)

    def _wrapper(self, record: bytes) -> Any:
        """The file wrapper that was found; None if none was."""
        try:
            wrappers = json.loads(record)["patentFileWrapperDataBag"]
            return wrappers[0] if wrappers else None
        except (ValueError, LookupError, TypeError, RecursionError) as problem:
            raise self.connection.unavailable("it answers with no file wrapper") from problem

    def _location(self, wrapper: Any, number: PublicationNumber) -> str | None:
        """The address of the publication's XML, as the file wrapper gives it."""
        name = "pgpubDocumentMetaData" if number.is_us_application else "grantDocumentMetaData"
        location = _text(wrapper, name, "fileLocationURI")
        if location is not None and not self.connection.owns(location):
            raise self.connection.unavailable("it names an address that is not its own")
        return location

    def _get(
        self, url: str, deadline: Deadline, params: Mapping[str, str] | None = None
    ) -> bytes | None:
        reply = self.connection.get(url, deadline, {"X-API-KEY": self._key}, params)
        if reply.status == 200:
            return reply.body
        if reply.status == 404:
            return None
        raise self._refusal(reply)

    def _refusal(self, reply: Reply) -> OfficeError:
        if reply.status in (401, 403):
            return OfficeError(
                f"the USPTO refuses the key of {PREFIX}USPTO_KEY. Check it at {KEYS_AT}.",
                reason="office_unavailable",
            )
        return self.connection.unavailable(f"it answers with status {reply.status}")


def _query(number: PublicationNumber) -> str:
    """The search for one publication; a number has letters and digits only."""
    if number.is_us_application:
        kind = number.kind or "A1"
        return f"applicationMetaData.earliestPublicationNumber:US{number.number}{kind}"
    return f"applicationMetaData.patentNumber:{number.number}"


def _text(wrapper: Any, *names: str) -> str | None:
    for name in names:
        wrapper = wrapper.get(name) if isinstance(wrapper, Mapping) else None
    return wrapper if isinstance(wrapper, str) and wrapper else None


def _key(key: SecretStr | None) -> str:
    if key is None:
        raise OfficeError(
            f"the USPTO needs a key: set {PREFIX}USPTO_KEY to one that {KEYS_AT} gives, free of "
            "charge, to holders of an account.",
            reason="office_unavailable",
        )
    return header_value(key, f"{PREFIX}USPTO_KEY")
