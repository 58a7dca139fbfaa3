"""How often each caller may do something. Knows names and clocks, no HTTP."""

import time
from collections.abc import Callable

# Callers that are remembered; beyond them, those that have been quiet are forgotten.
_CALLERS = 10_000


class Rate:
    """A bucket for each caller that fills evenly (token bucket), used from one thread."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = a_minute, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, caller: str) -> float:
        """Take one from the caller's bucket; else the seconds until there is one again."""
        now = self._clock()
        left, since = self._buckets.get(caller, (float(self._most), now))
        left = min(float(self._most), left + (now - since) * self._most / 60)
        if left < 1:
            self._buckets[caller] = (left, now)
            return (1 - left) * 60 / self._most
        self._buckets[caller] = (left - 1, now)
        if len(self._buckets) > _CALLERS:
            minute = {name: seen for name, seen in self._buckets.items() if now - seen[1] < 60}
            self._buckets = minute
        return 0.0
