"""The HTTP client of the service, and its errors as messages for the users of the page."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx

ADDRESS = "http://localhost:9000"
ADDRESS_VARIABLE = "PATCLASS_API_URL"
KEY_VARIABLE = "PATCLASS_API_KEY"

# Of the shortlist: the share of patents whose correct code it contains.
COVERAGE = 0.9
# Of all codes that an answer has, from which the visitor chooses the more probable ones.
RECALL = 0.95

Patent = str | Mapping[str, str | None]
Result = dict[str, Any]
ReviewCase = dict[str, Any]

_MONITOR_FIELDS = ("monitored", "window", "answers", "accuracy", "windows", "alerts")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Explaining a long text takes several seconds on a slow machine.
_TIMEOUT = httpx.Timeout(60.0, connect=3.0)

ErrorKind = Literal[
    "unavailable",
    "loading",
    "busy",
    "access_key",
    "invalid_input",
    "too_large",
    "incompatible",
    "internal",
    "no_case",
    "not_claimed",
    "cancelled",
]


class PageError(Exception):
    """An error that the page shows to its user.

    :param kind: decides what the page offers; ``unavailable``, ``loading`` and ``busy`` are
        transient.
    :param message: one or more whole sentences.
    :param retry_after: seconds after which another attempt is worthwhile.
    """

    def __init__(self, kind: ErrorKind, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.retry_after = kind, message, retry_after

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in ("unavailable", "loading", "busy")


def connection_error(address: str, problem: Exception) -> PageError:
    """The error for a request that got no response."""
    if isinstance(problem, httpx.ReadTimeout):
        return PageError(
            "busy", "The service took too long to respond. Try again, or shorten the text.", 5.0
        )
    if isinstance(problem, UnicodeError):
        return PageError(
            "access_key", "An access key consists of ASCII letters and digits. Enter it below."
        )
    if isinstance(problem, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return PageError(
            "incompatible",
            f"'{address}' is not a valid service address. Check {ADDRESS_VARIABLE}.",
        )
    return PageError(
        "unavailable",
        f"The service at {address} is not responding. It may be starting up, or stopped.",
        2.0,
    )


def incompatible_error(address: str) -> PageError:
    """The error for a response that is not one of this version of the service."""
    return PageError(
        "incompatible",
        f"The server at {address} is not a patclass service, or is one of another version. "
        "Check the address.",
    )


def response_error(
    status: int, code: str, message: str, retry_after: str | None = None
) -> PageError:
    """The error for an error response of the service.

    :param code: the service's code of the error.
    :param retry_after: the ``Retry-After`` header, in seconds.
    """
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
    if status == 429:
        wait = seconds or 1.0
        return PageError("busy", f"The service is busy. Try again in {wait:.0f} s.", wait)
    if code == "not_ready":
        return PageError("loading", "The service is still loading its model.", seconds or 2.0)
    if code == "deadline_exceeded":
        return PageError("busy", "The service took too long. Try again in a moment.", 2.0)
    if code == "office_busy":
        return PageError("busy", as_sentence(message), 5.0)
    if code == "not_stored":
        return PageError("busy", "The database of the service is unavailable.", 5.0)
    if code == "no_case":
        return PageError("no_case", "There is nothing to review at the moment.")
    if code == "not_claimed":
        return PageError(
            "not_claimed", "This case is no longer assigned to you. Take the next one."
        )
    if status in (401, 403):
        return PageError("access_key", _KEY_ERRORS.get(code, _FORBIDDEN))
    if status >= 500:
        return PageError(
            "internal", "An internal error occurred in the service. Its log has the details."
        )
    if code in ("body_too_large", "request_too_large"):
        return PageError(
            "too_large", "The text exceeds the size limit of the service. Shorten the text."
        )
    return PageError("invalid_input", as_sentence(message))


_FORBIDDEN = "This access key does not permit the action. Use another key."
_KEY_ERRORS = {
    "no_key": "The service requires an access key. Enter yours below.",
    "wrong_key": "The access key is invalid or has been revoked. Enter a valid key below.",
}


def as_sentence(message: str) -> str:
    """A message of the service with a capital letter and a full stop."""
    capitalised = message[:1].upper() + message[1:]
    return capitalised if capitalised.endswith((".", "!", "?")) else capitalised + "."


@dataclass(frozen=True)
class Model:
    """A model that the service has loaded.

    :param levels: levels of the classification, coarsest first.
    :param explains: whether it can explain its predictions.
    :param label_sets: whether it can give sets of codes with a chosen coverage.
    :param all_codes: whether it can give all codes of a patent besides the main one.
    :param code_thresholds: whether these can be chosen by precision or recall.
    """

    name: str
    version: str
    levels: tuple[str, ...]
    default: bool
    explains: bool
    label_sets: bool
    all_codes: bool
    code_thresholds: bool


@dataclass(frozen=True)
class Label:
    """A code with its title."""

    level: str
    code: str
    title: str

    def __str__(self) -> str:
        return f"{self.code} · {self.title}"


@dataclass(frozen=True)
class QueueSummary:
    """The size of the review queue.

    :param counts: number of cases by reason.
    :param without_text: number of predictions that cannot be reviewed, as no text was stored.
    """

    counts: dict[str, int]
    without_text: int


class Api:
    """The client of one service; may be used by several threads at once.

    :param address: base URL of the service.
    :param key: access key; empty for none.
    :raises PageError: if the address is not a URL, or the key cannot be sent in a header.
    """

    def __init__(self, address: str, key: str = "", timeout: httpx.Timeout = _TIMEOUT) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.address = address.rstrip("/")
        try:
            url = httpx.URL(self.address)
            # A proxy cannot reach the loopback addresses of this machine.
            self._client = httpx.Client(
                base_url=url, headers=headers, timeout=timeout, trust_env=url.host not in _LOOPBACK
            )
        except (httpx.InvalidURL, UnicodeError) as problem:
            raise connection_error(self.address, problem) from problem

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def models(self) -> list[Model]:
        """The loaded models, the default first.

        :raises PageError: like every method below, if the request fails.
        """
        with _checked_fields(self.address):
            return [
                Model(
                    name=info["name"],
                    version=info["version"],
                    levels=tuple(info["levels"]),
                    default=info["default"],
                    explains=info["similar_patents"],
                    label_sets=bool(info["coverage_levels"]),
                    all_codes=bool(info["all_codes"]),
                    code_thresholds=bool(info["code_thresholds"]),
                )
                for info in self._request("GET", "/v1/models")["models"]
            ]

    def accepts_numbers(self) -> bool:
        """Whether the service looks patents up by their publication number."""
        with _checked_fields(self.address):
            return bool(self._request("GET", "/v1/models")["numbers"])

    def labels(self, model: str) -> list[Label]:
        """All codes of a model, the coarsest level first."""
        with _checked_fields(self.address):
            entries = self._request("GET", f"/v1/models/{model}/labels")["labels"]
            return [Label(entry["level"], entry["label"], entry["name"]) for entry in entries]

    def report(self, model: str) -> tuple[str, dict[str, Any] | None]:
        """The card of a model (Markdown) and its evaluation report, if it has one."""
        with _checked_fields(self.address):
            response = self._request("GET", f"/v1/models/{model}/report")
            return response["card"], response["report"]

    def monitor(self, model: str) -> dict[str, Any]:
        """The latest windows of predictions compared with the reference data, and the alerts."""
        with _checked_fields(self.address):
            response = self._request("GET", f"/v1/models/{model}/monitor")
            return {name: response[name] for name in _MONITOR_FIELDS}

    def explain(self, patent: Patent, model: Model) -> Result:
        """The prediction for one patent with alternatives, shortlist and evidence.

        Evidence costs many times the prediction; it is left out if the service refuses it as too
        large or is too busy.
        """
        options = {"alternatives": True, "coverage": COVERAGE if model.label_sets else None}
        if model.all_codes:
            options |= {"all_codes": True, "recall": RECALL if model.code_thresholds else None}
        try:
            result = self.classify([patent], model.name, explain=model.explains, **options)[0]
        except PageError as error:
            if not model.explains or error.kind not in ("too_large", "busy"):
                raise
            result = self.classify([patent], model.name, **options)[0]
        if result["error"] is not None:
            raise response_error(422, result["error"]["code"], result["error"]["message"])
        return result

    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        """One result for each patent, in their order; those that failed have an ``error``.

        :param options: further fields of the request.
        """
        body = {"patents": [*patents], "model": model} | options
        with _checked_fields(self.address):
            results: list[Result] = self._request("POST", "/v1/classify", body)["results"]
        return results

    def feedback(self, feedback: Mapping[str, Any]) -> None:
        """Send feedback; the same feedback sent twice is stored once."""
        body = _without_empty(feedback)
        content = json.dumps(body, sort_keys=True).encode()
        key = hashlib.sha256(content).hexdigest()
        self._request("POST", "/v1/feedback", body, {"Idempotency-Key": key})

    def review_queue(self) -> QueueSummary:
        """How many predictions await a review, by reason."""
        with _checked_fields(self.address):
            response = self._request("GET", "/v1/reviews?limit=1")
            return QueueSummary(dict(response["waiting"]), response["without_text"])

    def claim(self, reviewer: str) -> ReviewCase | None:
        """The case that is assigned to the reviewer, else the next one; None if there is none."""
        try:
            case: ReviewCase = self._request("POST", "/v1/reviews/claim", {"reviewer": reviewer})
        except PageError as error:
            if error.kind == "no_case":
                return None
            raise
        return case

    def decide(self, prediction_id: str, key: str, feedback: Mapping[str, Any]) -> None:
        """Decide a case; what is sent twice under one idempotency key is stored once."""
        path = f"/v1/reviews/{prediction_id}/decision"
        self._request("POST", path, _without_empty(feedback), {"Idempotency-Key": key})

    def undo(self, prediction_id: str, reviewer: str) -> None:
        """Withdraw a decision; the case is assigned to the reviewer again."""
        self._request("POST", f"/v1/reviews/{prediction_id}/undo", {"reviewer": reviewer})

    def release(self, prediction_id: str, reviewer: str) -> None:
        """Return a case to the queue without a decision."""
        self._request("POST", f"/v1/reviews/{prediction_id}/release", {"reviewer": reviewer})

    def ready(self) -> bool:
        """Whether the service accepts patents."""
        try:
            return self._client.get("/readyz", timeout=3.0).is_success
        except httpx.HTTPError:
            return False

    def _request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        try:
            response = self._client.request(method, path, **_encoded(body, headers or {}))
        except httpx.HTTPError as problem:
            raise connection_error(self.address, problem) from problem
        try:
            content = response.json()
            if response.is_success:
                return content
            error = content["error"]
            code, message = str(error["code"]), str(error["message"])
        except (ValueError, KeyError, TypeError) as problem:
            if response.status_code in (502, 503, 504):  # by a proxy, of a service that is down
                raise connection_error(self.address, problem) from problem
            raise incompatible_error(self.address) from problem
        raise response_error(
            response.status_code, code, message, response.headers.get("Retry-After")
        )


def _encoded(body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    """The body as UTF-8; lone surrogates, which a damaged PDF may contain, are replaced."""
    if body is None:
        return {"headers": dict(headers)}
    content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return {"content": content, "headers": {"Content-Type": "application/json", **headers}}


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "")}


@contextmanager
def _checked_fields(address: str) -> Iterator[None]:
    """Raise a ``PageError`` if a response lacks the fields that are read."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as problem:
        raise incompatible_error(address) from problem
