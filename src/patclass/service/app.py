"""The service as an ASGI application, and the process that serves it. Knows how its parts fit."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from patclass import __version__
from patclass.core.errors import PatclassError
from patclass.engines.base import cores
from patclass.monitoring.monitor import Monitor
from patclass.service.answering import Answering
from patclass.service.auth import guarded_router
from patclass.service.background import NAME, Follower, Shadow, Watcher
from patclass.service.errors import install
from patclass.service.feedback import IDEMPOTENCY, Verdicts, add_feedback
from patclass.service.keys import KeyFile, Role
from patclass.service.logs import LOGGER, no_spans, spans_to
from patclass.service.metrics import Metrics
from patclass.service.middleware import Watch
from patclass.service.models import Models, load_model
from patclass.service.queue import Queue
from patclass.service.reviews import Reviews, add_reviews
from patclass.service.routes import (
    add_answering,
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

log = logging.getLogger(LOGGER)

# What may wait by default is answered within so many seconds, so that an end never takes longer.
QUEUE_SECONDS = 5
_LEAST_QUEUE = 4096


class Service:
    """One service: its models, its queue, and whether it is ready."""

    def __init__(self, settings: ServiceSettings, models: Models) -> None:
        settings.check()
        self.settings, self.models = settings, models
        self.metrics = Metrics()
        self.draining = False
        self.failure: Exception | None = None
        self.database = locate_store(settings.store)
        self.recorder = Recorder(PredictionStore(self.database), self.metrics)
        self.shadow = Shadow(self.recorder, self.metrics)
        self.monitor = Monitor(self.database, settings.window)
        self.watcher = Watcher(self.monitor, models, self.metrics)
        self.follower = Follower(models, self.load)
        self.queue = Queue(self.metrics, settings.queue_tokens or _LEAST_QUEUE, 1000.0, 2 * cores())

    @property
    def ready(self) -> bool:
        """Whether patents are accepted."""
        return self.models.ready and not self.draining

    def start(self, on_failure: Callable[[], object]) -> None:
        """Load in a thread, so that the service can say meanwhile that it lives.

        :param on_failure: called if the models cannot be loaded; ``failure`` then says why.
        """

        def load() -> None:
            try:
                self.load()
            except Exception as problem:  # a library that is missing as well
                self.failure = problem
                on_failure()

        threading.Thread(target=load, name="load", daemon=True).start()

    def load(self) -> None:
        """Load all models anew; set the queue by how fast they are.

        :raises PatclassError: if one does not verify; those that were loaded go on answering.
        """
        try:
            if self.settings.shadow is not None and self.shadow.model is None:
                # Before the first answer is given; later it stays what it is.
                self.shadow.model = load_model(NAME, self.settings.shadow, self.models.device)
            loaded = self.models.load()
        except PatclassError as problem:
            self.metrics.reloads.labels("failed").inc()
            log.error("models not loaded", extra={"facts": {"reason": str(problem)}})
            raise
        self.metrics.reloads.labels("done").inc()
        self.metrics.show_models(loaded)
        slowest = min(model.tokens_a_second for model in loaded)
        self.queue.speed = slowest
        if self.settings.queue_tokens is None:
            self.queue.most_tokens = max(_LEAST_QUEUE, round(slowest * QUEUE_SECONDS))

    def close(self) -> None:
        """Answer what was accepted, then end."""
        self.draining = True
        self.queue.close()
        self.shadow.close()
        self.recorder.close()
        self.watcher.close()
        self.follower.close()
        self.database.close()


def create_app(service: Service, on_failure: Callable[[], object] = lambda: None) -> FastAPI:
    """The application; it loads the models when it starts, and answers ``/livez`` meanwhile.

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
        summary="Patents in, CPC codes out, with how sure they are.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.store_threads = store_threads()
    keys = None if settings.keys is None else KeyFile(settings.keys)
    answering = Answering(
        settings,
        service.models,
        service.queue,
        service.metrics,
        service.recorder,
        service.shadow,
    )
    user, seer, judge, watch, review = (
        guarded_router(keys, Role.USER, tag)
        for tag in ("classify", "models", "feedback", "monitoring", "reviews")
    )
    admin = guarded_router(keys, Role.ADMIN, "models")
    app.include_router(add_answering(user, answering, settings.max_items))
    app.include_router(add_models(seer, service.models, service.metrics))
    verdicts = Verdicts(service.database, service.recorder, service.models, service.metrics)
    app.include_router(add_feedback(judge, verdicts, settings.feedback_rate))
    reviews = Reviews(service.database, service.models)
    app.include_router(add_reviews(review, reviews, verdicts, service.models))
    app.include_router(add_monitoring(watch, service.models, service.monitor, service.database))
    app.include_router(add_reload(admin, service.models, service.load))
    app.include_router(health_routes(lambda: service.ready))
    app.include_router(documentation_routes(app.title, "openapi.json"))
    install(app)
    if settings.cors:
        _let_pages_call(app, settings.cors)
    spans = spans_to() if settings.trace else no_spans
    app.add_middleware(
        Watch, metrics=service.metrics, most_bytes=settings.max_body_bytes, spans=spans
    )
    return app


def _let_pages_call(app: FastAPI, origins: Sequence[str]) -> None:
    headers = [
        *("Authorization", "X-API-Key", "Content-Type", "X-Request-ID", "X-Deadline-Ms"),
        IDEMPOTENCY,
    ]
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=headers,
        expose_headers=["X-Request-ID", "Retry-After"],
    )
