"""A thread that does the same thing again and again until it is ended. Knows no work."""

import threading
from collections.abc import Callable

# That the end of a service waits for one of its threads.
END_SECONDS = 1.0


class Periodic:
    """Calls ``work`` every few seconds; ``work`` must not raise."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self._seconds, self._call = seconds, work
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread after what it is doing now, or with the process if that takes longer."""
        self._ending.set()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            self._call()
