"""The whole service in this process: for tests of its responses, not of its processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from helpers import wait_until
from patclass.service.app import Service, create_app
from patclass.service.models import Models, parse_places
from patclass.service.settings import ServiceSettings


@contextmanager
def service_client(*models: Path | str, **settings: object) -> Iterator[TestClient]:
    """A client of a service with these models, named as ``--model`` names them."""
    places = parse_places(tuple(map(str, models)))
    service = Service(ServiceSettings.model_validate(settings), Models(places))
    with TestClient(create_app(service), "http://localhost") as client:
        wait_until(lambda: service.ready or service.failure)
        assert service.failure is None
        yield client
