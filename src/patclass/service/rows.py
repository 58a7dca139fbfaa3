"""A prediction as the row that is remembered. Knows fields only."""

from datetime import UTC, datetime

from patclass.data.views import text_sha256
from patclass.inference.answer import Prediction
from patclass.service.models import LoadedModel
from patclass.store.predictions import PredictionRow


def row_of(
    prediction_id: str,
    model: LoadedModel,
    prediction: Prediction,
    seconds: float,
    keep_text: bool = False,
    shadow_of: str | None = None,
) -> PredictionRow:
    """What is remembered of a prediction.

    :param seconds: from the request to the answer.
    :param shadow_of: the prediction that was given instead.
    """
    return PredictionRow(
        id=prediction_id,
        created=datetime.now(UTC),
        model=model.name,
        version=model.version,
        level=prediction.level,
        label=prediction.label,
        confidence=prediction.confidence,
        sure=prediction.sure,
        levels={level: (c.label, c.confidence) for level, c in prediction.levels.items()},
        text_sha256=text_sha256(prediction.text),
        chars=len(prediction.text),
        latency_ms=1000 * seconds,
        text=prediction.text if keep_text else None,
        shadow_of=shadow_of,
        **vars(prediction.signals),
    )
