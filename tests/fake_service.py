"""A service for tests of the page: responds from memory, or raises the errors it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patclass.ui.client import (
    Label,
    Model,
    PageError,
    Patent,
    QueueSummary,
    Result,
    ReviewCase,
)

TITLES = {
    "E": "Fixed constructions",
    "E21": "Earth drilling; mining",
    "E21B": "Earth drilling",
    "B": "Performing operations",
    "B23": "Machine tools",
    "B23B": "Turning; boring",
}
LEVELS = ("section", "class", "subclass")


def scored(code: str, confidence: float) -> dict[str, Any]:
    return {"label": code, "name": TITLES[code], "confidence": confidence}


def result_of(text: str, **changes: Any) -> Result:
    """A full result for a text: E21B, with high confidence."""
    path = [scored("E", 0.97), scored("E21", 0.95), scored("E21B", 0.93)]
    return {
        "id": None,
        "prediction_id": "0" * 32,
        "label": "E21B",
        "name": TITLES["E21B"],
        "confidence": 0.93,
        "level": "subclass",
        "sure": True,
        "section": "E",
        "section_confidence": 0.97,
        "class": "E21",
        "class_confidence": 0.95,
        "subclass": "E21B",
        "subclass_confidence": 0.93,
        "path": path,
        "top": path[-1:],
        "codes": None,
        "label_set": [scored("E21B", 0.93), scored("B23B", 0.02)],
        "alternatives": {
            "section": [scored("E", 0.97), scored("B", 0.03)],
            "class": [scored("E21", 0.95), scored("B23", 0.03)],
            "subclass": [scored("E21B", 0.93), scored("B23B", 0.02)],
        },
        "read_share": 1.0,
        "text": text,
        "passages": [{"start": 0, "end": len(text), "contribution": 0.5}],
        "neighbours": [
            {"id": "US1", "title": "A bit", "codes": ["E", "E21", "E21B"], "similarity": 0.9}
        ],
        "warnings": [],
        "patent": None,
        "error": None,
    } | changes


B23B = {
    "label": "B23B",
    "name": TITLES["B23B"],
    "section": "B",
    "class": "B23",
    "subclass": "B23B",
}

SIGNALS = {
    "confidence": ("Confidence", "confidence of the predictions of the coarsest level"),
    "labels": ("Labels", "how often each label of the coarsest level is predicted"),
    "length": ("Text length", "length of the texts in characters"),
    "oov_rate": (
        "Out-of-vocabulary rate",
        "share of a text's words that the training texts do not contain",
    ),
    "novelty": ("Novelty", "distance of a text's embedding from those of usual texts"),
}


def warning(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}


def monitor_of(*alerting: tuple[str, ...]) -> dict[str, Any]:
    """The response of the monitor after windows with alerts of these signals, one an hour."""
    windows = [
        {
            "number": 50 * hour,
            "rows": 50,
            "level": "section",
            "begin": f"2026-11-24T{hour:02}:00:00Z",
            "end": f"2026-11-24T{hour:02}:59:00Z",
            "shifts": [
                {
                    "signal": signal,
                    "title": title,
                    "description": description,
                    "psi": 0.4 if signal in alerts else 0.02,
                    "js": 0.1,
                    "ks": None if signal == "labels" else 0.2,
                    "p": 0.3,
                    "alert": signal in alerts,
                    "reference": None,
                    "window": 0.5,
                }
                for signal, (title, description) in SIGNALS.items()
            ],
            "labels": [
                {"label": code, "reference": 0.25, "window": share}
                for code, share in zip("ABEH", (0.26, 0.1, 0.34, 0.3), strict=True)
            ],
            "accuracy": {
                level: {
                    "rows": 50,
                    "estimated": 0.8,
                    "estimated_low": 0.7,
                    "estimated_high": 0.9,
                    "reviewed": 4 * hour,
                    "correct": 3 * hour,
                    "low": 0.5 if hour else None,
                    "high": 0.9 if hour else None,
                }
                for level in ("section", "class")
            },
        }
        for hour, alerts in enumerate(alerting)
    ]
    alerts = [
        {"time": window["end"], "signals": list(alerts)}
        for window, alerts in zip(windows, alerting, strict=True)
        if alerts
    ]
    return {
        "monitored": True,
        "window": 50,
        "answers": 50 + 12 * len(windows),
        "accuracy": {"section": 0.79},
        "windows": windows,
        "alerts": alerts[::-1],
    }


def case_of(number: int, **changes: Any) -> ReviewCase:
    """A case to review: E21B, without feedback."""
    steps = [scored("E", 0.97), scored("E21", 0.6), scored("E21B", 0.4)]
    return {
        "prediction_id": f"{number:032x}",
        "model": "default",
        "model_version": "v1",
        "reason": "unsure",
        "reason_text": "The confidence is low.",
        "text": f"A drill bit <b>number</b> {number}.",
        "claimed_until": "2126-11-24T10:00:00Z",
        "level": "subclass",
        "label": "E21B",
        "name": TITLES["E21B"],
        "confidence": 0.4,
        "sure": False,
        "feedback": [],
        "levels": [{"level": level} | step for level, step in zip(LEVELS, steps, strict=True)],
    } | changes


class WithKey:
    """The fake service, called with an access key."""

    def __init__(self, api: "FakeApi", key: str) -> None:
        self._api, self._key = api, key

    def __getattr__(self, name: str) -> Any:
        if self._api.required_key not in (None, self._key) and name != "ready":
            raise PageError("access_key", "The service requires an access key. Enter yours below.")
        return getattr(self._api, name)


@dataclass
class FakeApi:
    """Stands in for ``Api``; ``errors`` are raised one after the other, then it responds."""

    errors: list[PageError] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ("default",)
    card: str = "---\nlicense: apache-2.0\n---\n# A card"
    evaluation: dict[str, Any] | None = None
    monitoring: dict[str, Any] = field(default_factory=monitor_of)
    patents: list[Patent] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)
    cases: list[ReviewCase] = field(default_factory=list)
    without_text: int = 0
    decisions: list[dict[str, Any]] = field(default_factory=list)
    is_ready: bool = True
    required_key: str | None = None
    numbers: bool = False

    def accepts_numbers(self) -> bool:
        return self.numbers

    def models(self) -> list[Model]:
        self._raise()
        return [
            Model(
                name,
                "v1",
                LEVELS,
                name == self.names[0],
                explains=True,
                label_sets=True,
                all_codes=True,
                code_thresholds=True,
            )
            for name in self.names
        ]

    def labels(self, model: str) -> list[Label]:
        level = {1: "section", 3: "class", 4: "subclass"}
        return [Label(level[len(code)], code, title) for code, title in TITLES.items()]

    def report(self, model: str) -> tuple[str, dict[str, Any] | None]:
        return self.card, self.evaluation

    def monitor(self, model: str) -> dict[str, Any]:
        self._raise()
        return self.monitoring

    def explain(self, patent: Patent, model: Model) -> Result:
        self.patents.append(patent)
        text = patent if isinstance(patent, str) else ". ".join(filter(None, patent.values()))
        return result_of(text, **self.changes)

    def classify(self, patents: Sequence[Patent], model: str, **options: Any) -> list[Result]:
        self._raise()
        self.patents += patents
        return [
            result_of("", id=patent["id"], **self.changes)
            | (B23B if "boring" in str(patent) else {})
            for patent in patents
        ]

    def feedback(self, feedback: Mapping[str, Any]) -> None:
        self._raise()
        self.given.append({k: v for k, v in feedback.items() if v not in (None, "")})

    def review_queue(self) -> QueueSummary:
        self._raise()
        counts = {"disputed": 0, "unsure": len(self.cases), "sample": 0}
        return QueueSummary(counts, self.without_text)

    def claim(self, reviewer: str) -> ReviewCase | None:
        self._raise()
        return self.cases[0] if self.cases else None

    def decide(self, prediction_id: str, key: str, feedback: Mapping[str, Any]) -> None:
        self._raise()
        self.decisions.append({"case": self.cases.pop(0), "key": key} | feedback)

    def undo(self, prediction_id: str, reviewer: str) -> None:
        self._raise()
        self.cases.insert(0, self.decisions.pop()["case"])

    def release(self, prediction_id: str, reviewer: str) -> None:
        self._raise()
        self.cases.append(self.cases.pop(0))

    def ready(self) -> bool:
        return self.is_ready

    def close(self) -> None:
        pass

    def _raise(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
