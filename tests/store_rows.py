"""Rows for tests of the store."""

from datetime import UTC, datetime
from typing import Any

from patclass.store.predictions import PredictionRow

ID = "{:032x}".format


def prediction(number: int, **fields: Any) -> PredictionRow:
    given: dict[str, Any] = {
        "id": ID(number),
        "created": datetime(2026, 11, 1, tzinfo=UTC),
        "model": "default",
        "version": "v1",
        "level": "section",
        "label": "A",
        "confidence": 0.9,
        "sure": True,
        "levels": {"section": ("A", 0.9), "class": ("A61", 0.6)},
        "text_sha256": f"{number:064x}",
        "chars": 500,
        "latency_ms": 12.5,
    }
    return PredictionRow(**given | fields)
