"""The server process: sockets, signals, a graceful end. Knows uvicorn."""

import logging
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

import uvicorn

from patclass.core.errors import PatclassError
from patclass.service import logs
from patclass.service.app import Service, create_app
from patclass.service.models import Models
from patclass.service.settings import ServiceSettings

log = logging.getLogger(logs.LOGGER)

GRACE_SECONDS = 9


class _Server(uvicorn.Server):
    """Says that it is not ready as soon as it is asked to end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def end(self) -> None:
        """End as if asked to from outside."""
        self.handle_exit(signal.SIGTERM, None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.draining = True
        super().handle_exit(sig, frame)


def serve(settings: ServiceSettings, models: Models) -> None:
    """Run until SIGTERM or Ctrl-C; SIGHUP loads the models anew.

    :raises ConfigError: if everybody could call by accident.
    :raises PatclassError: if a model cannot be loaded or does not verify.
    """
    logs.configure()
    # Sockets should not wait five milliseconds for a thread that reads an answer.
    sys.setswitchinterval(0.0005)
    service = Service(settings, models)
    config = uvicorn.Config(
        create_app(service, lambda: server.end()),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="on",
    )
    server = _Server(config, service)
    signal.signal(signal.SIGHUP, lambda number, frame: _reload(service))
    with suppress(KeyboardInterrupt):  # uvicorn repeats the signal that ended it
        server.run()
    if service.failure is not None:
        raise service.failure


def _reload(service: Service) -> None:
    threading.Thread(target=_load, args=(service,), daemon=True).start()


def _load(service: Service) -> None:
    try:
        service.load()
    except PatclassError:
        log.warning("the models before go on answering")
