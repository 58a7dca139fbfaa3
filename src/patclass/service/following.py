"""A thread that sees when a registry has another champion. Knows places, no HTTP."""

import logging
from collections.abc import Callable

from patclass.errors import PatclassError
from patclass.service.logs import LOGGER
from patclass.service.models import Models
from patclass.service.periodic import Periodic

log = logging.getLogger(LOGGER)

_SECONDS = 1.0


class Follower:
    """Loads the models anew when a place leads to another bundle than the one that answers."""

    def __init__(self, models: Models, load: Callable[[], object]) -> None:
        """Start the thread.

        :param load: loads the models; what fails there is told there.
        """
        self._models, self._load = models, load
        self._refused: tuple[object, ...] = ()
        self._thread = Periodic("follow", _SECONDS, self.look)

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def look(self) -> None:
        """Load, if there is something else to load that was not refused before."""
        if not self._models.ready:
            return
        try:
            there = self._models.places()
        except PatclassError:  # damaged just now: what is loaded goes on answering
            return
        loaded = tuple(model.folder for model in self._models.loaded())
        if there == loaded:
            self._refused = ()  # what was refused may be tried again, if it is promoted again
        if there in (loaded, self._refused):
            return
        try:
            self._load()
        except PatclassError:
            self._refused = there
        except Exception as problem:  # no memory, a library that is missing: it was not told yet
            log.error("models not loaded", extra={"facts": {"reason": repr(problem)}})
            self._refused = there
