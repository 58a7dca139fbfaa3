"""Patents of a request that are named by their number. Knows bounds and threads, no office.

The offices are asked by threads of their own, so that other requests do not wait for them.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from patclass.core.errors import OfficeError
from patclass.data.text import FIELDS
from patclass.inference.classifier import Patent
from patclass.offices.patent import OfficePatent
from patclass.service.errors import ApiError
from patclass.service.metrics import Metrics
from patclass.service.settings import ServiceSettings

if TYPE_CHECKING:
    from patclass.offices.lookup import Offices

# Each office takes one request at a time, so more threads would only wait.
_THREADS = 4
_MAX_WAITING = 64

_TEXTS = ("text", *FIELDS)

# Of the time that is left of a request; the rest is for the prediction.
_SHARE = 2 / 3

_ENDS = "the service is shutting down"

Found = Patent | OfficePatent | OfficeError


class Lookups:
    """Looks numbers up, if the operator permits it.

    :raises ConfigError: if it is permitted and there are no keys.
    """

    def __init__(self, settings: ServiceSettings, metrics: Metrics) -> None:
        self._max_numbers, self._metrics = settings.max_numbers, metrics
        self._offices = _offices() if settings.offices else None
        self._threads = ThreadPoolExecutor(_THREADS, "lookup")
        self._waiting = 0
        self._closed = False

    @property
    def permitted(self) -> bool:
        """Whether patents can be named by their number."""
        return self._offices is not None

    def close(self) -> None:
        """Start no more look-ups; wait for those that have begun, at most until their deadlines."""
        self._closed = True
        self._threads.shutdown()
        if self._offices is not None:
            self._offices.close()

    async def find(
        self, patents: Sequence[Patent], columns: Collection[str], seconds: float
    ) -> list[Found]:
        """The patents, in order; those with a ``number`` as their office has them.

        :param columns: fields that the model reads.
        :param seconds: that are left of the request.
        :raises ApiError: if there are too many numbers.
        """
        numbers = sum(_number(patent) is not None for patent in patents)
        if not numbers:
            return list(patents)
        if numbers > self._max_numbers:
            message = f"patents: {numbers} numbers in one request; at most {self._max_numbers} are "
            raise ApiError(413, "request_too_large", f"{message}looked up")
        end = time.monotonic() + seconds * _SHARE
        return list(await asyncio.gather(*(self._found(each, columns, end) for each in patents)))

    async def _found(self, patent: Patent, columns: Collection[str], end: float) -> Found:
        number = _number(patent)
        if number is None:
            return patent
        began = time.perf_counter()
        found: OfficePatent | OfficeError
        try:
            found = await self._look_up(patent, number, columns, end)
            outcome = "found"
        except OfficeError as error:
            found, outcome = error, error.reason
        self._metrics.lookups.labels(outcome).inc()
        self._metrics.stage_seconds.labels("look_up").observe(time.perf_counter() - began)
        return found

    async def _look_up(
        self, patent: Patent, number: str, columns: Collection[str], end: float
    ) -> OfficePatent:
        offices = self._offices
        if offices is None:
            raise OfficeError(
                "this service does not look numbers up: send the text or its fields. Its operator "
                "can permit it (offices)."
            )
        if isinstance(patent, Mapping) and any(patent.get(name) for name in _TEXTS):
            message = "a patent has either a number or text of its own, not both"
            raise OfficeError(message, reason="number_invalid")
        if self._waiting >= _MAX_WAITING:
            raise _busy("too many look-ups are waiting")
        if self._closed:
            raise _busy(_ENDS)
        wanted = [name for name in ("claims", "description") if name in columns]

        def look_up() -> OfficePatent:
            if self._closed:
                raise _busy(_ENDS)
            return offices.find(number, wanted, max(0.0, end - time.monotonic()))

        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        finally:
            self._waiting -= 1


def _busy(problem: str) -> OfficeError:
    return OfficeError(f"{problem}. Try again later.", reason="office_busy")


def _offices() -> "Offices":
    from patclass.offices.lookup import Offices

    return Offices.from_environment()


def _number(patent: Patent) -> str | None:
    return patent.get("number") if isinstance(patent, Mapping) else None
