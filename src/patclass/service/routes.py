"""The page at ``/docs``, from files that are part of an installed package: nothing is fetched."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import WithJsonSchema
from starlette.responses import HTMLResponse

from patclass.core.errors import DataError, PatclassError
from patclass.inference.prediction import Options
from patclass.monitoring.drift import Assessment
from patclass.monitoring.monitor import Monitor
from patclass.service.answering import NEIGHBOURS, Answering, model_named
from patclass.service.background import watched_of
from patclass.service.context import note
from patclass.service.errors import ErrorBody, Problem, documented
from patclass.service.logs import LOGGER
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel, Models
from patclass.service.schemas import (
    Alert,
    ClassifyRequest,
    ClassifyResponse,
    FailedResult,
    Health,
    Label,
    LabelsResponse,
    ModelInfo,
    ModelsResponse,
    MonitorResponse,
    Patent,
    PredictRequest,
    PredictResponse,
    ReportResponse,
    Result,
    Window,
    result_of,
)
from patclass.service.storage import in_store
from patclass.store.database import Database
from patclass.store.history import ALERT, Event, EventStore

_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}

# The page starts itself by a script in it; all else comes from here.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


def documentation_routes(title: str, openapi_url: str) -> APIRouter:
    """``/docs`` and its files."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=openapi_url,
            title=title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="data:,",
        )
        page.headers["Content-Security-Policy"] = _POLICY
        return page

    @router.get("/docs/{name}")
    async def part(name: str) -> Response:
        if name not in _FILES:
            raise Problem(404, "not_found", f"docs/{name}: there is no such page")
        content = (resources.files("fastapi_swagger.resources") / name).read_bytes()
        return Response(content, media_type=_FILES[name])

    return router


WINDOWS = 30


def add_monitoring(
    router: APIRouter, models: Models, monitor: Monitor, database: Database
) -> APIRouter:
    """``/v1/models/{name}/monitor``."""
    events = EventStore(database)

    @router.get("/v1/models/{name}/monitor", responses=documented(401, 404, 422, 503))
    async def read_monitor(
        request: Request, name: str, windows: Annotated[int, Query(ge=1, le=200)] = WINDOWS
    ) -> MonitorResponse:
        """A model's last windows of answers beside the reference, oldest first, and its alarms."""
        model = model_named(models, name)
        watched = watched_of(model)
        found: list[Assessment] = []
        if watched is not None:
            found = await in_store(request, monitor.series, watched, windows)
        answers: int = await in_store(request, monitor.answers, model.version)
        rung: list[Event] = await in_store(request, events.latest, ALERT, model.version)
        return MonitorResponse(
            model=model.name,
            model_version=model.version,
            watched=watched is not None,
            window=monitor.window,
            answers=answers,
            accuracy={} if watched is None else dict(watched.reference.accuracy),
            windows=[Window.model_validate(asdict(each)) for each in found],
            alerts=[
                Alert(time=event.created, signals=list(event.details["signals"])) for event in rung
            ],
        )

    return router


log = logging.getLogger(LOGGER)

_REFUSALS = (400, 401, 404, 413, 422, 429, 503, 504)
_Deadline = Annotated[
    int | None,
    Header(
        alias="X-Deadline-Ms",
        ge=1,
        le=600_000,
        description="Milliseconds within which an answer is of use; refused at once with 429 if "
        "it could not be kept.",
    ),
    # A header that is left out is no 'null' in it.
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 600_000}),
]


def add_answering(router: APIRouter, answering: Answering, max_items: int) -> APIRouter:
    """``/predict`` and ``/v1/classify``."""

    @router.post("/predict", responses=documented(*_REFUSALS))
    async def predict(
        request: Request, body: PredictRequest, deadline: _Deadline = None
    ) -> PredictResponse:
        """The label of one text, at the deepest level that is sure."""
        answered = await answering.answer(request, [body.text], None, Options())
        found = answered.results[0]
        if isinstance(found, DataError):
            raise Problem(422, "text_invalid", str(found))
        fields = result_of(found.prediction, found.id, None)
        return PredictResponse.model_validate(
            fields | _model_fields(answered.model) | {"prediction": found.prediction.label}
        )

    @router.post("/v1/classify", responses=documented(*_REFUSALS))
    async def classify(
        request: Request, body: ClassifyRequest, deadline: _Deadline = None
    ) -> ClassifyResponse:
        """One result for each patent, in order; a patent that fails does not fail the others."""
        patents = body.patents if isinstance(body.patents, list) else [body.patents]
        if len(patents) > max_items:
            raise Problem(
                *(413, "request_too_large"),
                f"patents: {len(patents)} in one request; at most {max_items} are accepted",
            )
        given = [p if isinstance(p, str) else p.model_dump(exclude={"id"}) for p in patents]
        answered = await answering.answer(request, given, body.model, _options(body))
        results: list[Result | FailedResult] = []
        for patent, found in zip(patents, answered.results, strict=True):
            number = patent.id if isinstance(patent, Patent) else None
            if isinstance(found, DataError):
                error = ErrorBody(code="text_invalid", message=str(found))
                results.append(FailedResult(id=number, error=error))
            else:
                fields = result_of(found.prediction, found.id, number, body.evidence)
                results.append(Result.model_validate(fields))
        failed = sum(isinstance(found, DataError) for found in answered.results)
        note(request.scope, failed=failed)
        return ClassifyResponse(**_model_fields(answered.model), results=results)

    return router


def add_models(router: APIRouter, models: Models, metrics: Metrics) -> APIRouter:
    """``/v1/models`` and what Prometheus reads."""

    @router.get("/v1/models", responses=documented(401, 503))
    async def list_models() -> ModelsResponse:
        """The models that are loaded, the default first."""
        model_named(models, None)  # none is listed before all are there
        return _shown(models)

    @router.get("/v1/models/{name}/labels", responses=documented(401, 404, 422, 503))
    async def list_labels(name: str) -> LabelsResponse:
        """The labels that a model can answer with, and their titles."""
        model = model_named(models, name)
        tree = model.classifier.tree
        labels = [
            Label(level=level, label=label.code, name=label.name)
            for level in tree.levels
            for label in tree.at(level)
        ]
        return LabelsResponse(**_model_fields(model), labels=labels)

    @router.get("/v1/models/{name}/report", responses=documented(401, 404, 422, 503))
    async def read_report(name: str) -> ReportResponse:
        """A model's card, and the figures of its evaluation."""
        model = model_named(models, name)
        report = None if model.report is None else json.loads(model.report)
        return ReportResponse(**_model_fields(model), card=model.card, report=report)

    @router.get(
        *("/metrics",),
        responses=documented(401, 503) | {200: {"content": {"text/plain": {}}}},
        response_class=Response,
    )
    async def read_metrics() -> Response:
        """All metrics in Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


def add_reload(router: APIRouter, models: Models, reload: Callable[[], Any]) -> APIRouter:
    """``/v1/models/reload``."""

    @router.post("/v1/models/reload", responses=documented(401, 403, 409, 503))
    async def reload_models() -> ModelsResponse:
        """Load the bundles anew, verify them, and let them take over; or leave all as it is."""
        try:
            await asyncio.to_thread(reload)
        except PatclassError as problem:
            raise Problem(409, "reload_failed", str(problem)) from problem
        return _shown(models)

    return router


def health_routes(ready: Callable[[], bool]) -> APIRouter:
    """``/livez`` and ``/readyz``, open to everybody."""
    router = APIRouter(tags=["operations"])

    @router.get("/livez")
    async def live() -> Health:
        """Whether the process answers at all."""
        return Health(status="ok")

    @router.get("/readyz", responses=documented(503))
    async def is_ready() -> Health:
        """Whether patents are accepted: models loaded, and not about to end."""
        if not ready():
            raise Problem(503, "not_ready", "starting, or about to end", {"Retry-After": "1"})
        return Health(status="ok")

    return router


def _shown(models: Models) -> ModelsResponse:
    infos = [_info(model, models.names[0]) for model in models.loaded()]
    return ModelsResponse(models=infos)


def _options(body: ClassifyRequest) -> Options:
    return Options(
        level=body.level,
        k=body.k,
        threshold=body.threshold,
        coverage=body.set,
        neighbours=NEIGHBOURS if body.evidence else 0,
        explain=body.evidence,
        alternatives=body.alternatives,
    )


def _model_fields(model: LoadedModel) -> dict[str, str]:
    return {"model": model.name, "model_version": model.version}


def _info(model: LoadedModel, default: str) -> ModelInfo:
    tree = model.classifier.tree
    return ModelInfo(
        name=model.name,
        version=model.version,
        engine=model.engine,
        levels=list(tree.levels),
        labels={level: len(tree.at(level)) for level in tree.levels},
        max_tokens=model.classifier.bundle.description.text.max_tokens,
        default=model.name == default,
        evidence=model.classifier.bundle.neighbours is not None,
        set_levels=[
            level
            for level in tree.levels
            if level in (known := model.classifier.bundle.conformal.levels)
            and known[level].allows(0.9)
        ],
    )
