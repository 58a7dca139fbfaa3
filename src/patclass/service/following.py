"""A thread that sees when a registry has another champion. Knows places, no HTTP."""

import threading
from collections.abc import Callable

from patclass.errors import PatclassError
from patclass.service.models import Models

_SECONDS = 1.0


class Follower:
    """Loads the models anew when a place leads to another bundle than the one that answers."""

    def __init__(self, models: Models, load: Callable[[], object]) -> None:
        """Start the thread.

        :param load: loads the models; what fails there is told there.
        """
        self._models, self._load = models, load
        self._refused: tuple[object, ...] = ()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="follow", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ending.wait(_SECONDS):
            self.look()

    def look(self) -> None:
        """Load, if there is something else to load that was not refused before."""
        if not self._models.ready:
            return
        try:
            there = self._models.places()
        except PatclassError:  # damaged just now: what is loaded goes on answering
            return
        loaded = tuple(model.folder for model in self._models.loaded())
        if there in (loaded, self._refused):
            return
        try:
            self._load()
        except PatclassError:
            self._refused = there
