"""The route that shows how answers have shifted. Knows the monitor, no patents."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request

from patclass.monitoring.assess import Assessment
from patclass.monitoring.monitor import Monitor
from patclass.service.answering import model_named
from patclass.service.models import Models
from patclass.service.problems import documented
from patclass.service.schemas import Alarm, MonitorResponse, Window
from patclass.service.storing import in_store
from patclass.service.watching import watched_of
from patclass.store.database import Database
from patclass.store.events import ALARM, Event, EventStore

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
        rung: list[Event] = await in_store(request, events.latest, ALARM, model.version)
        return MonitorResponse(
            model=model.name,
            model_version=model.version,
            watched=watched is not None,
            window=monitor.window,
            answers=answers,
            accuracy={} if watched is None else dict(watched.reference.accuracy),
            windows=[Window.model_validate(asdict(each)) for each in found],
            alarms=[
                Alarm(time=event.created, signals=list(event.facts["signals"])) for event in rung
            ],
        )

    return router
