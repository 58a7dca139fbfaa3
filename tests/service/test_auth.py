"""Authorization: every route of the application, with every kind of key and without."""

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from patclass.service.app import Service, create_app
from patclass.service.auth import RateLimiter
from patclass.service.keys import KeyFile, Role
from patclass.service.models import Models
from patclass.service.settings import ServiceSettings
from service_process import TEXT


def test_a_caller_has_a_rate_limit_per_minute():
    now = [0.0]
    limiter = RateLimiter(2, lambda: now[0])
    assert [limiter.acquire("ada") for _ in range(3)] == [0.0, 0.0, 30.0]
    now[0] = 29.0
    assert limiter.acquire("ada") == pytest.approx(1.0)
    now[0] = 30.0
    assert limiter.acquire("ada") == 0.0
    assert limiter.acquire("ada") == 30.0


def test_rate_limits_of_callers_are_independent():
    limiter = RateLimiter(1, lambda: 0.0)
    assert limiter.acquire("ada") == 0.0
    assert limiter.acquire("bob") == 0.0
    assert limiter.acquire("ada") == 60.0


def test_a_bucket_refills_to_at_most_one_minute():
    now = [0.0]
    limiter = RateLimiter(3, lambda: now[0])
    limiter.acquire("ada")
    now[0] = 3600.0
    assert [limiter.acquire("ada") for _ in range(4)] == [0.0, 0.0, 0.0, 20.0]


def test_idle_callers_are_evicted():
    now = [0.0]
    limiter = RateLimiter(5, lambda: now[0])
    for caller in range(10_000):
        limiter.acquire(str(caller))
    now[0] = 61.0
    limiter.acquire("one more")
    assert list(limiter._buckets) == ["one more"]


class Access(Enum):
    """The roles that a route is for."""

    ALL = "all"
    USERS = "users"
    ADMINS = "admins"


ROUTES: dict[tuple[str, str], Access] = {
    ("GET", "/livez"): Access.ALL,
    ("GET", "/readyz"): Access.ALL,
    ("GET", "/docs"): Access.ALL,
    ("GET", "/docs/{name}"): Access.ALL,
    ("GET", "/openapi.json"): Access.ALL,
    ("HEAD", "/openapi.json"): Access.ALL,
    ("POST", "/predict"): Access.USERS,
    ("POST", "/v1/classify"): Access.USERS,
    ("GET", "/v1/models"): Access.USERS,
    ("GET", "/v1/models/{name}/labels"): Access.USERS,
    ("GET", "/v1/models/{name}/report"): Access.USERS,
    ("GET", "/v1/models/{name}/monitor"): Access.USERS,
    ("POST", "/v1/feedback"): Access.USERS,
    ("GET", "/v1/reviews"): Access.USERS,
    ("POST", "/v1/reviews/claim"): Access.USERS,
    ("POST", "/v1/reviews/{prediction_id}/decision"): Access.USERS,
    ("POST", "/v1/reviews/{prediction_id}/undo"): Access.USERS,
    ("POST", "/v1/reviews/{prediction_id}/release"): Access.USERS,
    ("GET", "/metrics"): Access.USERS,
    ("POST", "/v1/models/reload"): Access.ADMINS,
}
BODIES = {
    "/predict": {"text": TEXT},
    "/v1/classify": {"patents": [TEXT]},
    "/v1/feedback": {"prediction_id": "0" * 32, "correct": True},
    "/v1/reviews/claim": {"reviewer": "Ada"},
    "/v1/reviews/{prediction_id}/decision": {"reviewer": "Ada", "correct": True},
    "/v1/reviews/{prediction_id}/undo": {"reviewer": "Ada"},
    "/v1/reviews/{prediction_id}/release": {"reviewer": "Ada"},
}

# Kinds of callers; their keys are derived from the two existing keys.
CALLERS = ["no key", "unknown", "malformed", "empty", "user", "admin"]
FORMS = ["Bearer", "bearer", "BEARER", "X-API-Key"]


@pytest.fixture(scope="module")
def models(exported: Path) -> Models:
    loaded = Models({"default": exported})
    loaded.load()
    return loaded


@pytest.fixture
def store(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def keys(store: KeyFile) -> dict[str, str | None]:
    """The key of each kind of caller, or None."""
    user, admin = store.create("search team", Role.USER), store.create("operations", Role.ADMIN)
    unknown = f"{user[:12]}{admin[12:]}"  # the id of one with the secret of the other
    return {
        **{"no key": None, "unknown": unknown, "malformed": user[:-1], "empty": ""},
        **{"user": user, "admin": admin},
    }


@pytest.fixture
def guarded(models: Models, store: KeyFile) -> Iterator[TestClient]:
    """The whole application in this process, with keys."""
    feedback_store = store.path.with_name("feedback.db")
    service = Service(ServiceSettings(keys=store.path, store=feedback_store), models)
    # Without its lifespan, which would reload the models.
    yield TestClient(create_app(service), "http://localhost")
    service.close()


def headers_of(key: str | None, form: str = "Bearer") -> dict[str, str]:
    if key is None:
        return {}
    return {"X-API-Key": key} if form == "X-API-Key" else {"Authorization": f"{form} {key}"}


def call(
    client: TestClient | httpx.Client, route: tuple[str, str], headers: Mapping[str, str]
) -> Any:
    method, path = route
    body = {"json": BODIES[path]} if path in BODIES else {}
    name = "swagger-ui.css" if path.startswith("/docs") else "default"
    headers = {"Idempotency-Key": "a-feedback", **headers}
    return client.request(
        method, path.format(name=name, prediction_id="0" * 32), headers=headers, **body
    )


def routes_of(client: TestClient) -> set[tuple[str, str]]:
    """All routes of the application."""
    found = iter_route_contexts(client.app.routes)
    return {(method, context.path) for context in found for method in context.methods or ("ANY",)}


def test_every_route_is_listed_here(guarded: TestClient):
    assert routes_of(guarded) == ROUTES.keys()


def is_allowed(response: Any) -> bool:
    """Whether a call was authorized, even if there is no prediction 000…."""
    harmless_codes = ("unknown_prediction", "no_case", "not_claimed")
    return response.is_success or response.json()["error"]["code"] in harmless_codes


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_route_accepts_the_roles_it_is_for(
    guarded: TestClient, keys: dict[str, str | None], route: tuple[str, str]
):
    for who in CALLERS:
        check_access(route, who, call(guarded, route, headers_of(keys[who])))


def check_access(route: tuple[str, str], who: str, response: Any) -> None:
    """Whether a response is the right one to this kind of caller."""
    known = who in ("user", "admin")
    if ROUTES[route] is Access.ALL or (known and (ROUTES[route] is Access.USERS or who == "admin")):
        assert is_allowed(response), response.text
    elif known:
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "forbidden"
        assert "admin" in response.json()["error"]["message"]
    else:
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        code = "no_key" if who == "no key" else "wrong_key"
        assert response.json()["error"]["code"] == code
        assert "Authorization: Bearer KEY" in response.json()["error"]["message"]
        assert "X-API-Key: KEY" in response.json()["error"]["message"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("who", CALLERS[1:])
def test_a_key_is_accepted_in_either_header(
    guarded: TestClient, keys: dict[str, str | None], who: str, form: str
):
    response = call(guarded, ("GET", "/v1/models"), headers_of(keys[who], form))
    assert response.status_code == (200 if who in ("user", "admin") else 401)


@pytest.mark.parametrize(
    "form", ["Basic {}", "Token {}", "{}", "Bearer", "Bearer{}", "Bearer {} {}", "Bearer x {}"]
)
def test_a_malformed_key_is_refused(guarded: TestClient, keys: dict[str, str | None], form: str):
    headers = {"Authorization": form.replace("{}", str(keys["user"]))}
    assert call(guarded, ("GET", "/v1/models"), headers).status_code == 401


def test_another_authorization_scheme_falls_back_to_the_other_header(
    guarded: TestClient, keys: dict[str, str | None]
):
    headers = {"Authorization": "Basic eDp5", "X-API-Key": str(keys["user"])}
    assert call(guarded, ("GET", "/v1/models"), headers).status_code == 200


def test_a_wrong_key_is_refused_even_beside_a_valid_one(
    guarded: TestClient, keys: dict[str, str | None]
):
    headers = {"Authorization": f"Bearer {keys['unknown']}", "X-API-Key": str(keys["user"])}
    assert call(guarded, ("GET", "/v1/models"), headers).status_code == 401


@pytest.mark.parametrize("where", ["params", "cookies"])
def test_a_key_outside_the_headers_is_ignored(
    guarded: TestClient, keys: dict[str, str | None], where: str
):
    if where == "params":
        url = f"/v1/models?api_key={keys['user']}&key={keys['user']}"
        assert guarded.get(url).status_code == 401
    else:
        headers = {"Cookie": f"X-API-Key={keys['user']}"}
        assert guarded.get("/v1/models", headers=headers).status_code == 401


def test_a_refusal_repeats_no_key(guarded: TestClient, keys: dict[str, str | None]):
    for who in ("unknown", "malformed"):
        response = call(guarded, ("GET", "/v1/models"), headers_of(keys[who]))
        assert str(keys[who])[12:] not in response.text + str(response.headers)


def test_an_unusual_key_is_refused_like_any_other(guarded: TestClient):
    for odd in ("pk_" * 9_000, "ä".encode(), b"pk_\xff\xfe", "pk_0123abcd_" + "x" * 43):
        value = odd if isinstance(odd, bytes) else odd.encode()
        response = guarded.get("/v1/models", headers={b"X-API-Key": value})
        assert response.status_code == 401


def test_without_a_key_requests_are_not_validated(guarded: TestClient):
    for path in BODIES:
        for body in ({}, {"nosuch": 1}, [], "text"):
            response = guarded.post(path, json=body, headers={"X-Deadline-Ms": "soon"})
            assert response.status_code == 401, response.text


def test_an_unknown_route_reveals_nothing_about_keys(guarded: TestClient):
    assert guarded.get("/nosuch").status_code == 404
    assert guarded.get("/predict").status_code == 405


def test_a_revoked_key_is_refused_immediately(
    guarded: TestClient, store: KeyFile, keys: dict[str, str | None]
):
    route, headers = ("POST", "/predict"), headers_of(keys["user"])
    assert call(guarded, route, headers).status_code == 200
    store.revoke(str(keys["user"]).split("_")[1])
    response = call(guarded, route, headers)
    assert response.status_code == 401
    assert "revoked" in response.json()["error"]["message"]
    assert call(guarded, route, headers_of(keys["admin"])).status_code == 200


def test_a_new_key_is_accepted_immediately(guarded: TestClient, store: KeyFile):
    route = ("GET", "/v1/models")
    key = store.create("first", Role.USER)
    assert call(guarded, route, headers_of(key)).status_code == 200
    other = store.create("second", Role.USER)
    assert call(guarded, route, headers_of(other)).status_code == 200


def test_without_any_created_key_every_call_is_refused(guarded: TestClient, store: KeyFile):
    assert not store.path.exists()
    key = f"pk_0123abcd_{'x' * 43}"
    for route, whom in ROUTES.items():
        expected = 200 if whom is Access.ALL else 401
        assert call(guarded, route, headers_of(key)).status_code == expected
        assert call(guarded, route, {}).status_code == expected


@pytest.mark.parametrize("damage", ["torn", "garbage", "folder"])
def test_a_damaged_key_file_refuses_every_call_and_is_only_logged(
    guarded: TestClient,
    store: KeyFile,
    keys: dict[str, str | None],
    damage: str,
    logged: pytest.LogCaptureFixture,
):
    route = ("GET", "/v1/models")
    good = store.path.read_bytes()
    store.path.unlink()
    if damage == "folder":
        store.path.mkdir()
    else:
        store.path.write_bytes(good[:-9] if damage == "torn" else b"garbage sha256 role")
    for who in ("user", "admin", "unknown"):
        response = call(guarded, route, headers_of(keys[who]))
        assert response.status_code == 503
        assert response.json()["error"] == {
            "code": "not_ready",
            "message": "the API keys cannot be read; see the log",
        }
        facts = logged.records[-1].facts
        assert "keys.json" in facts["reason"]
        assert facts["status"] == 503
        assert str(keys[who])[12:] not in str(facts)
        assert str(keys[who])[12:] not in response.text
    for unauthorized in ("no key", "malformed"):
        assert call(guarded, route, headers_of(keys[unauthorized])).status_code == 401
    assert call(guarded, ("GET", "/livez"), {}).status_code == 200
    if damage == "folder":
        store.path.rmdir()
    store.path.write_bytes(good)
    assert call(guarded, route, headers_of(keys["user"])).status_code == 200


def test_the_log_names_the_caller(
    guarded: TestClient, keys: dict[str, str | None], logged: pytest.LogCaptureFixture
):
    call(guarded, ("POST", "/predict"), headers_of(keys["user"]))
    assert logged.records[-1].facts["key"] == "search team"
    call(guarded, ("POST", "/predict"), headers_of(keys["unknown"]))
    assert "key" not in logged.records[-1].facts


@pytest.mark.parametrize("key", [None, f"pk_0123abcd_{'x' * 43}", "anything"])
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_without_a_key_file_every_call_is_accepted(
    http: httpx.Client, route: tuple[str, str], key: str | None
):
    assert is_allowed(call(http, route, headers_of(key)))
