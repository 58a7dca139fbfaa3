"""Metrics for Prometheus. Knows names of metrics, no texts."""

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
from patclass.monitoring.drift import SIGNALS, Assessment
from patclass.service.models import LoadedModel

# The time at which a series was created is not used.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SHARES = tuple(tenth / 20 for tenth in range(1, 21))


class Metrics:
    """The metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("patclass_requests", "Responses.", "route", "status")
        self.request_seconds = self._seconds(
            "patclass_request_seconds", "Duration of a request within the service.", "route"
        )
        self.stage_seconds = self._seconds(
            "patclass_stage_seconds",
            "Duration of a stage: look_up, tokenise, queue, infer.",
            "stage",
        )
        self.queue_tokens = self._gauge("patclass_queue_tokens", "Tokens in the queue.")
        self.queue_items = self._gauge("patclass_queue_items", "Patents in the queue.")
        self.tokens = self._counter("patclass_tokens", "Tokens classified.", "model")
        self.refused = self._counter(
            "patclass_refused_items", "Patents that were not classified, by reason.", "reason"
        )
        self.lookups = self._counter(
            "patclass_lookups", "Patents looked up by their number, by outcome.", "outcome"
        )
        self.confidence = Histogram(
            "patclass_confidence",
            "Confidence of the predictions.",
            ["model", "level"],
            buckets=_SHARES,
            registry=self.registry,
        )
        self.predictions = self._counter(
            "patclass_predictions", "Predictions by label.", "model", "level", "label"
        )
        self.model = self._gauge(
            "patclass_model_info", "Loaded models.", "model", "version", "engine"
        )
        self.reloads = self._counter("patclass_reloads", "Reloads by outcome.", "outcome")
        self.log_lines_dropped = Counter(
            "patclass_log_lines_dropped",
            "Log lines that were not written, because standard error is not read.",
            registry=self.registry,
        )
        self._add_store()
        self._add_monitor()

    def _add_store(self) -> None:
        self.store_available = self._gauge(
            "patclass_store_available", "1 if the store could be used the last time, else 0."
        )
        self.recorded = self._counter(
            "patclass_recorded_predictions", "Predictions to be stored, by outcome.", "outcome"
        )
        self.texts_dropped = self._counter(
            "patclass_recorded_texts_dropped",
            "Texts that were to be stored and were not, because too many waited.",
        )
        self.recording = self._gauge(
            "patclass_recording_predictions", "Predictions that wait to be stored."
        )
        self.shadow = self._counter(
            "patclass_shadow_predictions",
            "Predictions of the shadow model, compared with those that were served.",
            "outcome",
        )
        self.feedback = self._counter("patclass_feedback", "Feedback by outcome.", "outcome")
        for outcome in ("stored", "dropped"):
            self.recorded.labels(outcome)
        for outcome in ("stored", "repeated", "refused", "not_stored"):
            self.feedback.labels(outcome)

    def _add_monitor(self) -> None:
        signals = ", ".join(SIGNALS)
        self.drift = self._gauge(
            "patclass_drift_psi",
            f"Population stability index of the last window: {signals}.",
            "model",
            "signal",
        )
        self.alert = self._gauge(
            "patclass_drift_alert", "1 if the last window raises an alert.", "model", "signal"
        )
        self.accuracy = self._gauge(
            "patclass_accuracy",
            "Accuracy of the last window, estimated from confidences or measured by feedback.",
            "model",
            "level",
            "kind",
        )

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(name, description, labels, registry=self.registry)

    def _gauge(self, name: str, description: str, *labels: str) -> Gauge:
        return Gauge(name, description, labels, registry=self.registry)

    def _seconds(self, name: str, description: str, *labels: str) -> Histogram:
        return Histogram(name, description, labels, buckets=_SECONDS, registry=self.registry)

    def count(self, model: str, prediction: Prediction) -> None:
        """Count a served prediction."""
        self.confidence.labels(model, prediction.level).observe(prediction.confidence)
        self.predictions.labels(model, prediction.level, prediction.label).inc()

    def set_assessment(self, model: str, assessment: Assessment) -> None:
        """Set the drift and the accuracy of a model's last window."""
        for shift in assessment.shifts:
            self.drift.labels(model, shift.signal).set(shift.psi)
            self.alert.labels(model, shift.signal).set(shift.alert)
        for level, accuracy in assessment.accuracy.items():
            self.accuracy.labels(model, level, "estimated").set(accuracy.estimated)
            if accuracy.measured is None:
                self.accuracy.remove(model, level, "measured")
            else:
                self.accuracy.labels(model, level, "measured").set(accuracy.measured)

    def clear_assessment(self, model: str) -> None:
        """Remove the drift and the accuracy of a model, when its version changes."""
        for gauge in (self.drift, self.alert, self.accuracy):
            gauge.remove_by_labels({"model": model})

    def set_models(self, loaded: Iterable[LoadedModel]) -> None:
        """Set the models that are loaded."""
        self.model.clear()
        for model in loaded:
            self.model.labels(model.name, model.version, model.engine).set(1)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
