"""A thread that does the same thing again and again until it is ended. Knows no work."""

import threading
from collections.abc import Callable


class Periodic:
    """Calls ``work`` every few seconds; ``work`` must not raise."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self._seconds, self._call = seconds, work
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after what it is doing now."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            self._call()
