"""The id of a request: the caller's if it is well formed, or else a generated one."""

import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import wait_until
from patclass.service.context import begin, facts_of, note, request_id_of
from service_process import Server

GENERATED = re.compile(r"[0-9a-f]{16}")
WELL_FORMED = ["a", "A-1", "0f8fad5b-d9cb-469f-a165-70867728950e", "x.y_z", "n" * 64]
SENDABLE = ["", "n" * 65, "a b", "a;b", "a/b", 'a"b', "<b>", "ä", "{id}", "%0a", "a\tb"]
MALFORMED = [*SENDABLE, " ", "a\n", "a\nb", "a\r\nX-Evil: 1", "a\0", "検索"]


def logged(server: Server, request_id: str) -> dict[str, Any]:
    """The log line of a request, which is written after its response."""

    def found() -> list[dict[str, Any]]:
        return [line for line in server.lines() if line.get("request_id") == request_id]

    wait_until(found)
    return found()[0]


@pytest.mark.parametrize("given_id", WELL_FORMED)
def test_a_well_formed_id_is_kept(given_id: str):
    scope: dict[str, object] = {}
    assert begin(scope, given_id) == request_id_of(scope) == given_id


@pytest.mark.parametrize("given_id", [None, *MALFORMED])
def test_any_malformed_id_is_replaced(given_id: str | None):
    scope: dict[str, object] = {}
    assert GENERATED.fullmatch(begin(scope, given_id))
    assert GENERATED.fullmatch(request_id_of(scope))


@given(st.text(st.characters()))
def test_no_id_contains_line_breaks_or_quotes(given_id: str):
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", begin({}, given_id))


def test_generated_ids_are_unique():
    assert len({begin({}, None) for _ in range(1000)}) == 1000


def test_facts_belong_to_one_request():
    first, second = {}, {}
    begin(first, "first")
    begin(second, "second")
    note(first, items=1, tokens=5)
    note(first, items=2)
    assert facts_of(first) == {"items": 2, "tokens": 5}
    assert facts_of(second) == {}


def test_a_new_request_has_no_facts():
    scope: dict[str, object] = {}
    note(scope, items=1)
    begin(scope, "next")
    assert facts_of(scope) == {}


def test_facts_are_returned_as_a_copy():
    scope: dict[str, object] = {}
    note(scope, items=1)
    facts_of(scope)["items"] = 2
    assert facts_of(scope) == {"items": 1}


def test_without_a_request_there_is_no_id():
    assert request_id_of({}) == ""
    assert facts_of({}) == {}


@pytest.mark.parametrize("given_id", WELL_FORMED)
def test_a_well_formed_id_is_in_the_header_the_body_and_the_log(
    http: httpx.Client, server: Server, given_id: str
):
    response = http.get("/nosuch", headers={"X-Request-ID": given_id})
    assert response.headers.get_list("X-Request-ID") == [given_id]
    assert response.json()["request_id"] == given_id
    assert logged(server, given_id)["path"] == "/nosuch"


@pytest.mark.parametrize("given_id", SENDABLE)
def test_a_malformed_id_is_replaced_in_the_header_the_body_and_the_log(
    http: httpx.Client, server: Server, given_id: str
):
    response = http.get("/nosuch", headers={"X-Request-ID": given_id.encode()})
    (own,) = response.headers.get_list("X-Request-ID")
    assert GENERATED.fullmatch(own)
    assert response.json()["request_id"] == own
    line = logged(server, own)
    assert (line["event"], line["path"], line["status"]) == ("request", "/nosuch", 404)


def test_successful_responses_carry_the_id_in_the_header(http: httpx.Client):
    response = http.get("/livez", headers={"X-Request-ID": "mine"})
    assert response.status_code == 200
    assert response.headers["X-Request-ID"] == "mine"
