"""The routes of classification, models, monitoring, documentation and health."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.responses import HTMLResponse

from patclass.core.errors import DataError, OfficeError, PatclassError
from patclass.inference.prediction import Options
from patclass.monitoring.drift import SIGNALS, Assessment
from patclass.monitoring.monitor import Monitor
from patclass.service.background import monitored_model
from patclass.service.classification import (
    ClassificationService,
    ServedPrediction,
    computed,
    model_named,
)
from patclass.service.context import note
from patclass.service.errors import ApiError, ErrorBody, documented
from patclass.service.metrics import Metrics
from patclass.service.models import LoadedModel, Models
from patclass.service.patents import patent_of
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
    PatentFields,
    PredictRequest,
    PredictResponse,
    ReportResponse,
    Result,
    Signal,
    Window,
    result_of,
)
from patclass.service.storage import in_store
from patclass.store.database import Database
from patclass.store.history import ALERT, Event, EventStore

DEADLINE = "X-Deadline-Ms"
MAX_DEADLINE_MS = 600_000

# Similar patents of a result that is explained.
NEIGHBOURS = 5

# Windows of a monitor response by default.
WINDOWS = 30

# The coverage for which ``coverage_levels`` are listed.
_COVERAGE = 0.9

_ERRORS = (400, 401, 404, 413, 415, 422, 429, 503, 504)


def _milliseconds(value: str) -> int:
    # More digits than an int is read from are no deadline either.
    if not value.isdecimal() or not 1 <= int(value[:20]) <= MAX_DEADLINE_MS:
        raise PydanticCustomError("deadline", f"expected 1 to {MAX_DEADLINE_MS} milliseconds")
    return int(value)


_Deadline = Annotated[
    int | None,
    BeforeValidator(_milliseconds),
    Header(
        alias=DEADLINE,
        description="Milliseconds within which the response is needed; refused with 429 if the "
        "deadline could not be met.",
    ),
    # Null is no value of a header.
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_DEADLINE_MS}),
]


def add_classification(
    router: APIRouter, service: ClassificationService, max_items: int
) -> APIRouter:
    """``/predict`` and ``/v1/classify``."""

    @router.post("/predict", responses=documented(*_ERRORS))
    async def predict(
        request: Request, body: PredictRequest, deadline: _Deadline = None
    ) -> PredictResponse:
        """Classify one text, at the deepest level at which the prediction is sure."""
        batch = await service.classify(request, [body.text], None, Options(), deadline)
        (served,) = batch.results
        if not isinstance(served, ServedPrediction):
            raise ApiError(422, "text_invalid", str(served))
        fields = result_of(served.prediction, served.id, None)
        return PredictResponse.model_validate(
            fields | _model_fields(batch.model) | {"prediction": served.prediction.label}
        )

    @router.post("/v1/classify", responses=documented(*_ERRORS))
    async def classify(
        request: Request, body: ClassifyRequest, deadline: _Deadline = None
    ) -> ClassifyResponse:
        """Classify patents; one result per patent, in order, an error if it is not usable."""
        patents = body.patents if isinstance(body.patents, list) else [body.patents]
        if len(patents) > max_items:
            message = f"patents: {len(patents)} in one request; at most {max_items} are accepted"
            raise ApiError(413, "request_too_large", message)
        size = len(await request.body())  # which was read before
        read = await computed(size, lambda: [patent_of(patent) for patent in patents])
        inputs = [
            patent if isinstance(patent, str) else patent.model_dump(exclude={"id"})
            for patent in read
            if not isinstance(patent, FailedResult)
        ]
        batch = await service.classify(request, inputs, body.model, _options(body), deadline)
        served = iter(batch.results)
        results = [
            patent
            if isinstance(patent, FailedResult)
            else _result(patent, next(served), body.explain)
            for patent in read
        ]
        note(request.scope, failed=sum(isinstance(each, FailedResult) for each in results))
        return ClassifyResponse(**_model_fields(batch.model), results=results)

    return router


def add_models(router: APIRouter, models: Models, metrics: Metrics, numbers: bool) -> APIRouter:
    """``/v1/models`` and ``/metrics``.

    :param numbers: whether patents can be named by their number.
    """

    @router.get("/v1/models", responses=documented(401, 503))
    async def list_models() -> ModelsResponse:
        """The models that are loaded, the default first."""
        model_named(models, None)  # refuses until all models are loaded
        return _models_response(models, numbers)

    @router.get("/v1/models/{name}/labels", responses=documented(401, 404, 422, 503))
    async def list_labels(name: str) -> LabelsResponse:
        """The labels of a model, and their titles."""
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
        """A model card, and the evaluation report."""
        model = model_named(models, name)
        report = None if model.report is None else json.loads(model.report)
        return ReportResponse(**_model_fields(model), card=model.card, report=report)

    @router.get(
        "/metrics",
        responses=documented(401, 503) | {200: {"content": {"text/plain": {}}}},
        response_class=Response,
    )
    async def read_metrics() -> Response:
        """All metrics in Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


def add_reload(
    router: APIRouter, models: Models, reload: Callable[[], Any], numbers: bool
) -> APIRouter:
    """``/v1/models/reload``; one at a time, in a thread that does nothing else."""
    thread, running = ThreadPoolExecutor(1, "load"), asyncio.Lock()

    @router.post("/v1/models/reload", responses=documented(401, 403, 409, 503))
    async def reload_models() -> ModelsResponse:
        """Load and verify the bundles again, then replace the models; on failure they stay."""
        if running.locked():
            raise ApiError(409, "reload_running", "the models are being loaded; try again later")
        async with running:
            try:
                await asyncio.get_running_loop().run_in_executor(thread, reload)
            except PatclassError as error:
                raise ApiError(409, "reload_failed", str(error)) from error
        return _models_response(models, numbers)

    return router


def add_monitoring(
    router: APIRouter, models: Models, monitor: Monitor, database: Database
) -> APIRouter:
    """``/v1/models/{name}/monitor``."""
    events = EventStore(database)

    @router.get("/v1/models/{name}/monitor", responses=documented(401, 404, 422, 503))
    async def read_monitor(
        request: Request, name: str, windows: Annotated[int, Query(ge=1, le=200)] = WINDOWS
    ) -> MonitorResponse:
        """The last windows of a model's predictions compared with its reference, and the alerts."""
        model = model_named(models, name)
        monitored = monitored_model(model)
        assessments: list[Assessment] = []
        if monitored is not None:
            assessments = await in_store(request, monitor.series, monitored, windows)
        count: int = await in_store(request, monitor.count, model.version)
        alerts: list[Event] = await in_store(request, events.latest, ALERT, model.version)
        return MonitorResponse(
            model=model.name,
            model_version=model.version,
            monitored=monitored is not None,
            window=monitor.window,
            answers=count,
            signals=[
                Signal.model_validate(each, from_attributes=True) for each in SIGNALS.values()
            ],
            accuracy={} if monitored is None else dict(monitored.reference.accuracy),
            windows=[Window.model_validate(each, from_attributes=True) for each in assessments],
            alerts=[
                Alert(time=event.created, signals=list(event.details["signals"]))
                for event in alerts
            ],
        )

    return router


_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}

# The page has an inline script; everything else is served from here.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


def documentation_routes(title: str, openapi_url: str) -> APIRouter:
    """``/docs`` and its files, which are part of the package: nothing is loaded from elsewhere."""
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
    async def asset(name: str) -> Response:
        if name not in _FILES:
            raise ApiError(404, "not_found", f"docs/{name}: there is no such page")
        content = (resources.files("fastapi_swagger.resources") / name).read_bytes()
        return Response(content, media_type=_FILES[name])

    return router


def health_routes(ready: Callable[[], bool]) -> APIRouter:
    """``/livez`` and ``/readyz``, without an API key."""
    router = APIRouter(tags=["operations"])

    @router.get("/livez")
    async def live() -> Health:
        """Whether the process is alive."""
        return Health(status="ok")

    @router.get("/readyz", responses=documented(503))
    async def is_ready() -> Health:
        """Whether patents are accepted: the models are loaded, and the service is not stopping."""
        if not ready():
            raise ApiError(
                503, "not_ready", "the service is starting or stopping", {"Retry-After": "1"}
            )
        return Health(status="ok")

    return router


def _models_response(models: Models, numbers: bool) -> ModelsResponse:
    infos = [_info(model, models.names[0]) for model in models.loaded()]
    return ModelsResponse(models=infos, numbers=numbers)


def _result(
    patent: str | PatentFields, served: ServedPrediction | DataError | OfficeError, text: bool
) -> Result | FailedResult:
    patent_id = patent.id if isinstance(patent, PatentFields) else None
    if not isinstance(served, ServedPrediction):
        code = served.reason if isinstance(served, OfficeError) else "text_invalid"
        return FailedResult(id=patent_id, error=ErrorBody(code=code, message=str(served)))
    fields = result_of(served.prediction, served.id, patent_id, text)
    found = None if served.patent is None else served.patent.record()
    return Result.model_validate(fields | {"patent": found})


def _options(body: ClassifyRequest) -> Options:
    return Options(
        level=body.level,
        k=body.k,
        threshold=body.threshold,
        coverage=body.coverage,
        neighbours=NEIGHBOURS if body.explain else 0,
        explain=body.explain,
        alternatives=body.alternatives,
        all_codes=body.all_codes,
        precision=body.precision,
        recall=body.recall,
    )


def _model_fields(model: LoadedModel) -> dict[str, str]:
    return {"model": model.name, "model_version": model.version}


def _info(model: LoadedModel, default: str) -> ModelInfo:
    tree, conformal = model.classifier.tree, model.classifier.bundle.conformal.levels
    return ModelInfo(
        name=model.name,
        version=model.version,
        engine=model.engine,
        levels=list(tree.levels),
        labels={level: len(tree.at(level)) for level in tree.levels},
        max_tokens=model.classifier.bundle.description.text.max_tokens,
        default=model.name == default,
        similar_patents=model.classifier.bundle.neighbours is not None,
        all_codes=bool(tree.nodes),
        code_thresholds=model.classifier.bundle.all_codes is not None,
        coverage_levels=[
            level
            for level in tree.levels
            if level in conformal and conformal[level].allows(_COVERAGE)
        ],
    )
