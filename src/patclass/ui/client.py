"""What went wrong, in sentences that say how to go on. Knows statuses and codes of the service."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx

Kind = Literal[
    "away", "loading", "busy", "key", "input", "large", "stranger", "broken", "none", "taken"
]


class Trouble(Exception):  # noqa: N818
    """Why there is no answer, and what a person can do.

    :param kind: what to offer besides the sentence; ``away``, ``loading`` and ``busy`` pass.
    :param wait: seconds after which it is worth trying again.
    """

    def __init__(self, kind: Kind, sentence: str, wait: float | None = None) -> None:
        super().__init__(sentence)
        self.kind, self.sentence, self.wait = kind, sentence, wait

    @property
    def passes(self) -> bool:
        """Whether waiting helps."""
        return self.kind in ("away", "loading", "busy")


def no_answer(address: str, problem: Exception) -> Trouble:
    """The service did not answer at all."""
    if isinstance(problem, httpx.ReadTimeout):
        return Trouble(
            "busy", "The answer takes too long. Try again, or shorten the text.", wait=5.0
        )
    if isinstance(problem, UnicodeError):
        return Trouble("key", "An access key has plain letters and digits only. Enter it below.")
    if isinstance(problem, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return Trouble("stranger", f"'{address}' is no address of a service. Check the settings.")
    return Trouble(
        "away",
        f"The service at {address} does not answer. It may be starting, or stopped.",
        wait=2.0,
    )


def stranger(address: str) -> Trouble:
    """Something answered that is no service of ours, or one of another time."""
    return Trouble(
        "stranger",
        f"{address} answers, but not as this release of patclass does. Check the address.",
    )


def refused(status: int, code: str, message: str, retry_after: str | None = None) -> Trouble:
    """The service answered, but not with a result."""
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
    if status == 429:
        wait = seconds or 1.0
        return Trouble(
            "busy", f"Many patents are being read right now. Try again in {wait:.0f} s.", wait
        )
    if code == "not_ready":
        sentence = "The service is still loading its model."
        return Trouble("loading", sentence, seconds or 2.0)
    if code == "deadline_exceeded":
        return Trouble("busy", "The answer took too long. Try again in a moment.", 2.0)
    if code == "not_kept":
        return Trouble("busy", "The service cannot reach what it remembers.", 5.0)
    if code == "no_case":
        return Trouble("none", "No answer waits for you just now.")
    if code == "not_yours":
        return Trouble("taken", "This case is with somebody else by now. Take the next one.")
    if status in (401, 403):
        return Trouble("key", _KEY.get(code, "This key does not allow that. Ask for another one."))
    if status >= 500:
        return Trouble(
            "broken", "Something broke in the service. Whoever runs it finds it in the log."
        )
    if code in ("body_too_large", "request_too_large"):
        return Trouble("large", "This is more text than the service takes at once. Shorten it.")
    return Trouble("input", _sentence(message))


_KEY = {
    "no_key": "The service asks for an access key. Enter yours below.",
    "wrong_key": "The access key is not known, or was revoked. Enter the right one below.",
}


def _sentence(message: str) -> str:
    told = message[:1].upper() + message[1:]
    return told if told.endswith((".", "!", "?")) else told + "."


ADDRESS = "http://localhost:9000"
ADDRESS_VARIABLE = "PATCLASS_API_URL"
KEY_VARIABLE = "PATCLASS_API_KEY"

Patent = str | Mapping[str, str | None]
Result = dict[str, Any]
Case = dict[str, Any]

# Of the truth, that the set of codes holds it: nine times in ten.
COVERAGE = 0.9

_MONITORED = ("watched", "window", "answers", "accuracy", "windows", "alerts")

# Reading a long text sentence by sentence takes a few seconds on a slow machine.
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TIMEOUT = httpx.Timeout(60.0, connect=3.0)


@dataclass(frozen=True)
class Model:
    """A model that the service has loaded."""

    name: str
    version: str
    levels: tuple[str, ...]
    default: bool
    evidence: bool
    sets: bool


@dataclass(frozen=True)
class Label:
    """A code with its title."""

    level: str
    code: str
    title: str

    def __str__(self) -> str:
        return f"{self.code} · {self.title}"


@dataclass(frozen=True)
class Waiting:
    """What waits for a person.

    :param reasons: how many cases there are for each reason.
    :param without_text: how many cannot be shown, as no text was kept.
    """

    reasons: dict[str, int]
    without_text: int


class Api:
    """One service, by address and key; several threads may ask it at once.

    :raises Trouble: if the address is none, or the key holds what no header can.
    """

    def __init__(self, address: str, key: str = "", timeout: httpx.Timeout = _TIMEOUT) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.address = address.rstrip("/")
        try:
            url = httpx.URL(self.address)
            # What stays on this machine is no business of a proxy.
            self._client = httpx.Client(
                base_url=url, headers=headers, timeout=timeout, trust_env=url.host not in _LOOPBACK
            )
        except (httpx.InvalidURL, UnicodeError) as problem:
            raise no_answer(self.address, problem) from problem

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def models(self) -> list[Model]:
        """The models that are loaded, the default first.

        :raises Trouble: as every method here, if there is no answer.
        """
        with _as_patclass_does(self.address):
            return [
                Model(
                    name=info["name"],
                    version=info["version"],
                    levels=tuple(info["levels"]),
                    default=info["default"],
                    evidence=info["evidence"],
                    sets=bool(info["set_levels"]),
                )
                for info in self._ask("GET", "/v1/models")["models"]
            ]

    def labels(self, model: str) -> list[Label]:
        """All codes that a model knows, the coarsest first."""
        with _as_patclass_does(self.address):
            found = self._ask("GET", f"/v1/models/{model}/labels")["labels"]
            return [Label(entry["level"], entry["label"], entry["name"]) for entry in found]

    def report(self, model: str) -> tuple[str, dict[str, Any] | None]:
        """A model's card and the figures of its evaluation."""
        with _as_patclass_does(self.address):
            found = self._ask("GET", f"/v1/models/{model}/report")
            return found["card"], found["report"]

    def monitor(self, model: str) -> dict[str, Any]:
        """A model's last windows of answers beside what it was measured on, and its alarms."""
        with _as_patclass_does(self.address):
            found = self._ask("GET", f"/v1/models/{model}/monitor")
            return {name: found[name] for name in _MONITORED}

    def explain(self, patent: Patent, model: Model) -> Result:
        """The answer for one patent with all that the model can say of it.

        Evidence costs many times the answer; where that is too much, it is left out.
        """
        options = {"alternatives": True, "set": COVERAGE if model.sets else None}
        try:
            result = self.classify([patent], model.name, evidence=model.evidence, **options)[0]
        except Trouble as trouble:
            if not model.evidence or trouble.kind not in ("large", "busy"):
                raise
            result = self.classify([patent], model.name, **options)[0]
        if result["error"] is not None:
            raise refused(422, result["error"]["code"], result["error"]["message"])
        return result

    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        """One result for each patent, in order; those that failed have an ``error``."""
        body = {"patents": [*patents], "model": model} | options
        with _as_patclass_does(self.address):
            found: list[Result] = self._ask("POST", "/v1/classify", body)["results"]
        return found

    def feedback(self, verdict: Mapping[str, Any]) -> None:
        """Send a verdict; the same one sent twice counts once."""
        body = {name: value for name, value in verdict.items() if value not in (None, "")}
        content = json.dumps(body, sort_keys=True).encode()
        key = hashlib.sha256(content).hexdigest()
        self._ask("POST", "/v1/feedback", body, {"Idempotency-Key": key})

    def waiting(self) -> Waiting:
        """How many answers wait for a person, and why."""
        with _as_patclass_does(self.address):
            found = self._ask("GET", "/v1/reviews?limit=1")
            return Waiting(dict(found["waiting"]), found["without_text"])

    def claim(self, reviewer: str) -> Case | None:
        """The next case, or the one that the reviewer still has; None if there is none."""
        try:
            found: Case = self._ask("POST", "/v1/reviews/claim", {"reviewer": reviewer})
        except Trouble as trouble:
            if trouble.kind == "none":
                return None
            raise
        return found

    def decide(self, prediction_id: str, key: str, verdict: Mapping[str, Any]) -> None:
        """Settle a case; what is sent twice under one key counts once."""
        body = {name: value for name, value in verdict.items() if value not in (None, "")}
        path = f"/v1/reviews/{prediction_id}/decision"
        self._ask("POST", path, body, {"Idempotency-Key": key})

    def undo(self, prediction_id: str, reviewer: str) -> None:
        """Take a decision back; the reviewer has the case again."""
        self._ask("POST", f"/v1/reviews/{prediction_id}/undo", {"reviewer": reviewer})

    def release(self, prediction_id: str, reviewer: str) -> None:
        """Give a case back undecided."""
        self._ask("POST", f"/v1/reviews/{prediction_id}/release", {"reviewer": reviewer})

    def ready(self) -> bool:
        """Whether it answers patents."""
        try:
            return self._client.get("/readyz", timeout=3.0).is_success
        except httpx.HTTPError:
            return False

    def _ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        try:
            answer = self._client.request(method, path, **_sent(body, headers or {}))
        except httpx.HTTPError as problem:
            raise no_answer(self.address, problem) from problem
        try:
            content = answer.json()
            if answer.is_success:
                return content
            error = content["error"]
            code, message = str(error["code"]), str(error["message"])
        except (ValueError, KeyError, TypeError) as problem:
            if answer.status_code in (502, 503, 504):  # what a proxy says of a service that is away
                raise no_answer(self.address, problem) from problem
            raise stranger(self.address) from problem
        raise refused(answer.status_code, code, message, answer.headers.get("Retry-After"))


def _sent(body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    """What goes over the wire; half a surrogate pair, as a damaged PDF may hold, does not."""
    if body is None:
        return {"headers": dict(headers)}
    content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return {"content": content, "headers": {"Content-Type": "application/json", **headers}}


@contextmanager
def _as_patclass_does(address: str) -> Iterator[None]:
    """Turn an answer without the fields of a result into a sentence."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as problem:
        raise stranger(address) from problem
