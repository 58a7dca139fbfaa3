"""The service as an ASGI application, and the server process. Knows how the parts fit together."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from patclass import __version__
from patclass.core.errors import PatclassError
from patclass.engines.base import cores
from patclass.monitoring.monitor import Monitor
from patclass.service import logs
from patclass.service.auth import guarded_router
from patclass.service.background import NAME, DriftWatcher, ModelReloader, Shadow
from patclass.service.bodies import BodyLimits
from patclass.service.classification import ClassificationService
from patclass.service.errors import install
from patclass.service.feedback import IDEMPOTENCY, FeedbackService, add_feedback
from patclass.service.keys import KeyFile, Role
from patclass.service.lookups import Lookups
from patclass.service.metrics import Metrics
from patclass.service.middleware import RequestMiddleware
from patclass.service.models import Models, load_model
from patclass.service.protocol import BoundedProtocol
from patclass.service.queue import InferenceQueue
from patclass.service.reviews import ReviewService, add_reviews
from patclass.service.routes import (
    DEADLINE,
    add_classification,
    add_models,
    add_monitoring,
    add_reload,
    documentation_routes,
    health_routes,
)
from patclass.service.settings import ServiceSettings
from patclass.service.storage import Recorder, store_threads
from patclass.store.database import locate_store
from patclass.store.predictions import PredictionStore

log = logging.getLogger(logs.LOGGER)

# The default capacity of the queue, in seconds of work, so that a shutdown takes no longer.
QUEUE_SECONDS = 5
_MIN_QUEUE_TOKENS = 4096

# Values in a body, for each patent of a request. The largest usual patents have a hundred: each
# claim in two languages.
_VALUES, _USUAL_ITEMS = 1000, 64

# Seconds after which a database server that stays silent within a statement is given up. With those
# to connect again they are fewer than a request waits for the store.
STORE_SECONDS = 10.0

# Seconds in which requests are finished at a shutdown.
SHUTDOWN_SECONDS = 9


class Service:
    """One service: its models, queue, store and background threads."""

    def __init__(self, settings: ServiceSettings, models: Models) -> None:
        settings.check()
        self.settings, self.models = settings, models
        self.metrics = Metrics()
        self.draining = False
        self._loading = threading.Lock()
        self.failure: Exception | None = None
        self.lookups = Lookups(settings, self.metrics)
        self.database = locate_store(settings.store, patience=STORE_SECONDS)
        self.metrics.store_available.set_function(lambda: self.database.available)
        self.recorder = Recorder(PredictionStore(self.database), self.metrics)
        self.shadow = Shadow(self.recorder, self.metrics)
        self.monitor = Monitor(self.database, settings.window)
        self.watcher = DriftWatcher(self.monitor, models, self.metrics)
        self.reloader = ModelReloader(models, self.load)
        capacity = settings.queue_tokens or _MIN_QUEUE_TOKENS
        self.queue = InferenceQueue(self.metrics, capacity, speed=1000.0, threads=2 * cores())

    @property
    def ready(self) -> bool:
        """Whether patents are accepted."""
        return self.models.ready and not self.draining

    def start(self, on_failure: Callable[[], object]) -> None:
        """Load the models in a thread, so that ``/livez`` responds meanwhile.

        :param on_failure: called if the models cannot be loaded; ``failure`` is then set.
        """

        def load() -> None:
            try:
                self.load()
            except Exception as error:  # also a missing library
                self.failure = error
                on_failure()

        threading.Thread(target=load, name="load", daemon=True).start()

    @property
    def loading(self) -> bool:
        """Whether a thread is loading models."""
        return self._loading.locked()

    def load(self) -> None:
        """Load all models again; set the queue's speed and capacity by the slowest one.

        :raises PatclassError: if one does not verify; the models loaded before then stay.
        """
        with self._loading:
            self._load()

    def _load(self) -> None:
        try:
            if self.settings.shadow is not None and self.shadow.model is None:
                # Only once, before the first request is served.
                self.shadow.model = load_model(NAME, self.settings.shadow, self.models.device)
            loaded = self.models.load()
        except PatclassError as error:
            self.metrics.reloads.labels("failed").inc()
            log.error("models not loaded", extra={"facts": {"reason": str(error)}})
            raise
        self.metrics.reloads.labels("done").inc()
        self.metrics.set_models(loaded)
        slowest = min(model.tokens_per_second for model in loaded)
        self.queue.speed = slowest
        if self.settings.queue_tokens is None:
            self.queue.capacity = max(_MIN_QUEUE_TOKENS, round(slowest * QUEUE_SECONDS))

    def drain(self) -> None:
        """Accept no more patents, and wait less for the store."""
        self.draining = True
        self.database.drain()

    def close(self) -> None:
        """Classify what was accepted, then end all threads."""
        self.drain()
        self.queue.close()
        self.shadow.close()
        self.recorder.close()
        self.watcher.close()
        self.reloader.close()
        self.database.close()
        self.lookups.close()  # last, since an office may take its time


def create_app(service: Service, on_failure: Callable[[], object] = lambda: None) -> FastAPI:
    """The application; it loads the models when it starts, while ``/livez`` responds.

    :param on_failure: called if the models cannot be loaded.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start(on_failure)
        yield
        app.state.store_threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(service.close)

    settings = service.settings
    app = FastAPI(
        title="patclass",
        version=__version__,
        summary="Classification of patents by CPC, with calibrated confidences.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.store_threads = store_threads()
    _add_routes(app, service)
    install(app)
    if settings.cors:
        _allow_origins(app, settings.cors)
    spans = logs.spans_to() if settings.trace else logs.no_spans
    app.add_middleware(
        RequestMiddleware,
        metrics=service.metrics,
        limits=BodyLimits(
            bytes=settings.max_body_bytes,
            seconds=settings.deadline,
            values=_VALUES * max(settings.max_items, _USUAL_ITEMS),
        ),
        spans=spans,
    )
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    settings, models = service.settings, service.models
    keys = None if settings.keys is None else KeyFile(settings.keys)
    classification = ClassificationService(
        settings,
        models,
        service.queue,
        service.metrics,
        service.recorder,
        service.shadow,
        service.lookups,
    )
    feedback = FeedbackService(
        service.database, service.recorder, models, service.metrics, settings.max_chars
    )
    reviews = ReviewService(service.database, models)
    classify_router, models_router, feedback_router, monitoring_router, reviews_router = (
        guarded_router(settings, keys, Role.USER, tag)
        for tag in ("classify", "models", "feedback", "monitoring", "reviews")
    )
    admin_router = guarded_router(settings, keys, Role.ADMIN, "models")
    for router in (
        add_classification(classify_router, classification, settings.max_items),
        add_models(models_router, models, service.metrics, settings.offices),
        add_feedback(feedback_router, feedback, settings.feedback_rate),
        add_reviews(reviews_router, reviews, feedback, models),
        add_monitoring(monitoring_router, models, service.monitor, service.database),
        add_reload(admin_router, models, service.load, settings.offices),
        health_routes(lambda: service.ready),
        documentation_routes(app.title, "openapi.json"),
    ):
        app.include_router(router)


def _allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=[
            "Authorization",
            "X-API-Key",
            "Content-Type",
            "X-Request-ID",
            DEADLINE,
            IDEMPOTENCY,
        ],
        expose_headers=["X-Request-ID", "Retry-After"],
    )


class _Server(uvicorn.Server):
    """A server that stops being ready as soon as it receives a signal to end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def end(self) -> None:
        """End as on SIGTERM."""
        self.handle_exit(signal.SIGTERM, None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.drain()
        super().handle_exit(sig, frame)


def serve(settings: ServiceSettings, models: Models) -> None:
    """Run until SIGTERM or Ctrl-C; SIGHUP reloads the models.

    :raises ConfigError: if other machines could call without an API key.
    :raises PatclassError: if a model cannot be loaded or does not verify.
    """
    # Threads switch more often, so that sockets do not wait for tokenisation.
    sys.setswitchinterval(0.0005)
    if settings.keys is not None:
        KeyFile(settings.keys).list()  # a file that cannot be used is told now, not to the callers
    service = Service(settings, models)
    logs.configure(service.metrics.log_lines_dropped.inc)
    app = create_app(service, lambda: server.end())
    server = _Server(server_config(settings, app), service)
    signal.signal(signal.SIGHUP, lambda number, frame: service.reloader.ask())
    with suppress(KeyboardInterrupt):  # uvicorn repeats the signal that ended it
        server.run()
    if service.failure is not None:
        raise service.failure
    if service.loading:
        # Its thread is inside a library, which aborts the process if the interpreter ends first.
        logging.shutdown()
        os._exit(0)


def server_config(settings: ServiceSettings, app: FastAPI) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=BoundedProtocol,
        ws="none",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        lifespan="on",
    )
