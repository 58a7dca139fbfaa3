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

from patclass.inference.answer import Prediction
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

    def count(self, model: str, tokens: int, prediction: Prediction) -> None:
        """Account for one answer."""
        self.tokens.labels(model).inc(tokens)
        self.confidence.labels(model, prediction.level).observe(prediction.confidence)
        self.predictions.labels(model, prediction.level, prediction.label).inc()

    def show_models(self, loaded: Iterable[LoadedModel]) -> None:
        """Say which models answer now."""
        self.model.clear()
        for model in loaded:
            self.model.labels(model.name, model.version, model.engine).set(1)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
