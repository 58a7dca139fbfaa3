"""Who is admitted without keys: programs of this machine, not the web pages that it visits."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from helpers import wait_until
from patclass.service.app import Service, create_app, server_config
from patclass.service.keys import KeyFile, Role
from patclass.service.models import Models
from patclass.service.settings import ServiceSettings
from service_here import service_client

TEXT = "A device with antenna circuit voltage inductor gate amplifier signal electrode."
PAGE = "https://page.example"
# What browsers send for a page's script, form or image, and old ones for its script.
CROSS_SITE = [
    {"Origin": PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-site"},
    {"Origin": PAGE},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Origin": "http://["},
]
HERE = ["localhost", "localhost:9000", "LOCALHOST", "127.0.0.1:9000", "127.8.9.1", "[::1]:9000"]
ELSEWHERE = [
    *("page.example", "page.example:9000", "localhost.page.example", "127.0.0.1.page.example"),
    *("0.0.0.0", "[::]", "192.168.1.2", "a@b", "[", ":", "x" * 5000),
]
ROUTES = [
    *(("POST", "/predict"), ("POST", "/v1/classify"), ("POST", "/v1/models/reload")),
    *(("POST", "/v1/feedback"), ("POST", "/v1/reviews/claim"), ("GET", "/v1/reviews")),
    *(("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/v1/models/default/report")),
]


@pytest.fixture(scope="module")
def http(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    store = tmp_path_factory.mktemp("store") / "store.db"
    with service_client(exported, store=store, cors=["https://mine.example"]) as client:
        yield client


def refusal_of(response: Any) -> str:
    assert response.status_code == 403, response.text
    assert response.json()["error"]["code"] == "forbidden"
    assert len(response.text) < 400
    return str(response.json()["error"]["message"])


def predict(http: TestClient, **headers: str) -> Any:
    return http.post("/predict", json={"text": TEXT}, headers=headers)


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_page_of_another_origin_is_refused(
    http: TestClient, method: str, path: str, headers: dict[str, str]
):
    response = http.request(method, path, headers=headers)
    assert "another origin" in refusal_of(response)


def test_a_form_of_another_page_is_refused(http: TestClient):
    headers = {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert "another origin" in refusal_of(http.post("/v1/models/reload", headers=headers))


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_name_that_is_not_of_this_machine_is_refused(
    http: TestClient, method: str, path: str, host: str
):
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert "is not this machine" in refusal_of(http.request(method, path, headers=headers))


@pytest.mark.parametrize("host", HERE)
@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_this_machine_is_admitted_by_all_its_names(http: TestClient, host: str, site: str | None):
    headers = {"Host": host} | ({} if site is None else {"Sec-Fetch-Site": site})
    assert predict(http, **headers).status_code == 200
    assert predict(http, Origin=f"http://{host}", **headers).status_code == 200


def test_a_page_that_is_listed_is_admitted(http: TestClient):
    headers = {"Origin": "https://mine.example", "Sec-Fetch-Site": "cross-site"}
    response = predict(http, **headers)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "https://mine.example"


def test_a_link_of_another_page_can_be_followed(http: TestClient):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert http.get("/docs", headers=headers).status_code == 200
    assert http.get("/v1/models", headers=headers).status_code == 200


def test_no_page_embeds_an_answer(http: TestClient):
    assert http.get("/livez").headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "settings",
    [{"allowed_hosts": ["page.example"]}, {"host": "0.0.0.0", "insecure": True}, {"keys": True}],
    ids=str,
)
def test_names_are_not_checked_where_they_are_allowed_or_keys_are_needed(
    settings: dict[str, Any], tmp_path: Path
):
    headers = {"Host": "page.example:9000"}
    if "keys" in settings:
        keys = KeyFile(tmp_path / "keys.json")
        headers["X-API-Key"] = keys.create("ada", Role.ADMIN)
        settings = {"keys": keys.path}
    found = ServiceSettings.model_validate(settings | {"store": tmp_path / "store.db"})
    service = Service(found, Models({"default": "nosuch"}))
    response = TestClient(create_app(service)).get("/v1/models", headers=headers)
    service.close()
    assert response.json()["error"]["code"] == "not_ready"


@pytest.mark.parametrize(
    ("proxies", "client"), [([], "127.0.0.1"), (["127.0.0.1"], "8.8.8.8"), (["10.0.0.0/8"], None)]
)
def test_forwarded_addresses_are_believed_of_proxies_alone(proxies: list[str], client: str | None):
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    settings = ServiceSettings(trusted_proxies=tuple(proxies))
    config = server_config(settings, app)  # type: ignore[arg-type]
    config.load()
    headers = [(b"x-forwarded-for", b"8.8.8.8")]
    scope = {"type": "http", "client": ("127.0.0.1", 1), "headers": headers, "scheme": "http"}
    asyncio.run(config.loaded_app(scope, None, None))  # type: ignore[arg-type]
    assert seen == [client or "127.0.0.1"]


def test_the_environment_configures_no_proxy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    assert not server_config(ServiceSettings(), None).proxy_headers  # type: ignore[arg-type]


def test_models_are_reloaded_one_at_a_time(http: TestClient, monkeypatch: pytest.MonkeyPatch):
    began, end = threading.Event(), threading.Event()

    def load(models: Models) -> tuple[Any, ...]:
        began.set()
        end.wait(60)
        return models.loaded()

    monkeypatch.setattr(Models, "load", load)
    statuses: list[int] = []
    first = threading.Thread(
        target=lambda: statuses.append(http.post("/v1/models/reload").status_code)
    )
    first.start()
    wait_until(began.is_set)
    try:
        for _ in range(20):
            response = http.post("/v1/models/reload")
            assert response.status_code == 409
            assert response.json()["error"]["code"] == "reload_running"
        assert predict(http).status_code == 200
        long = {"text": f"{TEXT} " * 500}  # which is read in a thread
        assert http.post("/predict", json=long).status_code == 200
    finally:
        end.set()
        first.join()
    assert statuses == [200]
    assert http.post("/v1/models/reload").status_code == 200
