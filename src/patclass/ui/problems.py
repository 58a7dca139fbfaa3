"""What went wrong, in sentences that say how to go on. Knows statuses and codes of the service."""

from typing import Literal

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
