"""What Prometheus sees. Knows names of metrics, no texts."""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from patclass.inference.prediction import Prediction
from patclass.monitoring.drift import Assessment
from patclass.service.models import LoadedModel

# When a series began is of no use to anyone here.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SHARES = tuple(tenth / 20 for tenth in range(1, 21))


def _histogram(name: str, what: str, label: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, what, [label], buckets=_SECONDS, registry=registry)


class Metrics:
    """The metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter(
            "patclass_requests", "Requests answered.", ["route", "status"], registry=own
        )
        self.request_seconds = _histogram(
            "patclass_request_seconds", "Of one request, as the service sees it.", "route", own
        )
        self.stage_seconds = _histogram(
            "patclass_stage_seconds", "Of one patent: tokenise, queue, infer.", "stage", own
        )
        self.queue_tokens = Gauge("patclass_queue_tokens", "Tokens that wait.", registry=own)
        self.queue_items = Gauge("patclass_queue_items", "Patents that wait.", registry=own)
        self.tokens = Counter("patclass_tokens", "Tokens answered.", ["model"], registry=own)
        self.refused = Counter(
            "patclass_refused_items", "Patents not answered.", ["reason"], registry=own
        )
        self.confidence = Histogram(
            *("patclass_confidence", "Confidence of the answers.", ["model", "level"]),
            buckets=_SHARES,
            registry=own,
        )
        self.predictions = Counter(
            *("patclass_predictions", "Answers by label.", ["model", "level", "label"]),
            registry=own,
        )
        self.model = Gauge(
            *("patclass_model_info", "Loaded models.", ["model", "version", "engine"]),
            registry=own,
        )
        self.reloads = Counter("patclass_reloads", "By outcome.", ["outcome"], registry=own)
        self._add_store(own)
        self._add_monitor(own)

    def _add_store(self, own: CollectorRegistry) -> None:
        self.recorded = Counter(
            *("patclass_recorded_predictions", "Predictions by what became of them.", ["outcome"]),
            registry=own,
        )
        self.texts_dropped = Counter(
            "patclass_recorded_texts_dropped",
            "Texts that were to be kept and were not, as too much waited for the store.",
            registry=own,
        )
        self.recording = Gauge(
            "patclass_recording_predictions", "Predictions that wait to be kept.", registry=own
        )
        self.shadow = Counter(
            "patclass_shadow_predictions",
            "Answers of the model in the shadow, beside those given.",
            ["outcome"],
            registry=own,
        )
        self.feedback = Counter(
            "patclass_feedback", "Verdicts by what became of them.", ["outcome"], registry=own
        )
        for outcome in ("kept", "dropped"):
            self.recorded.labels(outcome)
        for outcome in ("kept", "repeated", "refused", "not_kept"):
            self.feedback.labels(outcome)

    def _add_monitor(self, own: CollectorRegistry) -> None:
        self.drift = Gauge(
            *("patclass_drift_psi", "Of the last window of answers.", ["model", "signal"]),
            registry=own,
        )
        self.alert = Gauge(
            *("patclass_drift_alarm", "Whether the last window rings.", ["model", "signal"]),
            registry=own,
        )
        self.accuracy = Gauge(
            "patclass_accuracy",
            "Of the last window: estimated from confidences, measured by verdicts.",
            ["model", "level", "kind"],
            registry=own,
        )

    def count(self, model: str, prediction: Prediction) -> None:
        """Account for one answer that was given."""
        self.confidence.labels(model, prediction.level).observe(prediction.confidence)
        self.predictions.labels(model, prediction.level, prediction.label).inc()

    def show_assessment(self, model: str, assessment: Assessment) -> None:
        """Say how the last window of a model's answers has shifted."""
        for shift in assessment.shifts:
            self.drift.labels(model, shift.signal).set(shift.psi)
            self.alert.labels(model, shift.signal).set(shift.alert)
        for level, accuracy in assessment.accuracy.items():
            self.accuracy.labels(model, level, "estimated").set(accuracy.estimated)
            if accuracy.measured is None:
                self.accuracy.remove(model, level, "measured")
            else:
                self.accuracy.labels(model, level, "measured").set(accuracy.measured)

    def forget_assessment(self, model: str) -> None:
        """Say nothing of a model's answers: another one answers under its name."""
        for gauge in (self.drift, self.alert, self.accuracy):
            gauge.remove_by_labels({"model": model})

    def show_models(self, loaded: Iterable[LoadedModel]) -> None:
        """Say which models answer now."""
        self.model.clear()
        for model in loaded:
            self.model.labels(model.name, model.version, model.engine).set(1)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
