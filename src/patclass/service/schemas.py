"""Request and response bodies of the API. Knows fields only."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    create_model,
    model_validator,
)

from patclass.inference.prediction import (
    ANSWER_COLUMNS,
    COLUMNS,
    Prediction,
    ScoredLabel,
    record_of,
)
from patclass.monitoring.drift import SIGNALS
from patclass.service.errors import ErrorBody
from patclass.service.fields import Name, Other, Text, check_fields, check_patents

EXAMPLE = (
    "A drill bit for boreholes has a steel body with blades that carry cutters of polycrystalline "
    "diamond, and nozzles that flush cuttings into the annulus."
)


class Strict(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, value: Any) -> Any:
        return check_fields(value)


class PredictRequest(Strict):
    """One text."""

    text: str = Field(description="Title and abstract, or the full text.", examples=[EXAMPLE])


class PatentFields(Strict):
    """A patent by its fields; the model reads those that it was trained with.

    A field is a text, a number, a list of texts such as claims, or a list of translations such as
    ``{"text": ..., "language": "en"}``.
    """

    id: Name = Field(None, max_length=200, description="Returned with the result.")
    number: Name = Field(
        None,
        max_length=200,
        description="Publication number, instead of all that follows; `GET /v1/models` says "
        "whether the service looks numbers up.",
    )
    text: Text = None
    title: Text = None
    abstract: Text = None
    claims: Text = None
    description: Text = None


class ClassifyRequest(Strict):
    """One or many texts or patents."""

    # Each patent is read by ``patent_of``, after they are counted.
    patents: Annotated[
        str | PatentFields | dict[str, Any] | list[str | PatentFields | Other],
        SkipValidation,
        BeforeValidator(check_patents),
    ] = Field(
        description="A text, a patent, or a list of them.",
        examples=[[EXAMPLE, {"id": "EP1", "title": "Loom", "abstract": "A loom has a heald."}]],
    )
    model: str | None = Field(
        None, max_length=200, description="Name of a loaded model; the default model if omitted."
    )
    level: str = Field(
        "auto",
        max_length=200,
        description="section, class, subclass, or auto: the deepest level at which the prediction "
        "is sure.",
    )
    k: int = Field(3, ge=1, le=100, description="Number of labels in `top`.")
    threshold: float | None = Field(
        None, ge=0, le=1, description="Confidence from which a prediction is sure."
    )
    coverage: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Also return the label set that contains the true label with this probability.",
        examples=[0.9],
    )
    explain: bool = Field(
        False,
        description="Also return similar patents, the contribution of each passage, and the text "
        "of which passages are spans (slower).",
    )
    alternatives: bool = Field(
        False,
        description="Also return the labels of every level with a probability of at least 0.001.",
    )
    all_codes: bool = Field(False, description="Also return all codes, main and additional.")
    precision: float | None = Field(
        None, gt=0, lt=1, description="Share of `codes` to be right; else F1 is largest."
    )
    recall: float | None = Field(
        None, gt=0, lt=1, description="Share of the true codes to be in `codes`."
    )


_EXAMPLES: dict[str, Any] = {
    "label": "E21B",
    "name": "Earth or rock drilling",
    "confidence": 0.93,
    "level": "subclass",
    "sure": True,
    "read_share": 0.64,
    "warnings": [{"code": "partly_read", "message": "only 64% of the text was read"}],
}


def _columns(*names: str) -> dict[str, Any]:
    """Fields for columns of an answer; all that are named, or all columns."""
    return {
        column.name: (
            column.type,
            Field(
                description=column.description,
                examples=[_EXAMPLES[column.name]] if column.name in _EXAMPLES else None,
            ),
        )
        for column in ANSWER_COLUMNS
        if column.name in (names or COLUMNS)
    }


if TYPE_CHECKING:
    _Answer = BaseModel
    _TopAnswer = BaseModel
else:
    _Answer = create_model("_Answer", **_columns())
    _TopAnswer = create_model(
        "_TopAnswer",
        **_columns("name", "confidence", "level", "sure", "path", "top", "read_share", "warnings"),
    )


class FoundPatent(BaseModel):
    """A patent that was looked up by its number."""

    number: str = Field(examples=["EP1000000A1"])
    office: str = Field(description="`EPO` or `USPTO`.")
    title: str | None
    abstract: str | None
    codes: list[str] = Field(description="CPC and IPC symbols that the office has assigned.")


class Result(_Answer):
    """The prediction for one patent, with the columns of a file of answers."""

    id: str | None = Field(None, description="The patent's id, as it was sent.")
    prediction_id: str = Field(description="For feedback on this prediction.")
    text: str | None = Field(None, description="The text that was classified; with `explain`.")
    alternatives: dict[str, list[ScoredLabel]] | None = Field(
        None, description="By level, most probable first; if requested."
    )
    patent: FoundPatent | None = Field(None, description="What was found under the `number`.")
    error: None = None


class FailedResult(BaseModel):
    """A patent that cannot be used; the other patents of the request are classified."""

    id: str | None = None
    error: ErrorBody


class ModelInfo(BaseModel):
    """A loaded model."""

    name: str
    version: str
    engine: str
    levels: list[str]
    labels: dict[str, int] = Field(description="Number of labels of each level.")
    max_tokens: int
    default: bool
    similar_patents: bool = Field(description="Whether it has an index of similar patents.")
    all_codes: bool = Field(description="Whether it gives all codes of a patent.")
    code_thresholds: bool = Field(description="Whether `precision` and `recall` choose codes.")
    coverage_levels: list[str] = Field(description="Levels with label sets of a coverage of 0.9.")


class ClassifyResponse(BaseModel):
    """One result per patent, in order."""

    model: str
    model_version: str
    results: list[Result | FailedResult]


class PredictResponse(_TopAnswer):
    """The prediction for one text; its label is ``prediction``."""

    prediction: str = Field(examples=["E21B"], description="Code of the predicted label.")
    prediction_id: str = Field(description="For feedback on this prediction.")
    model: str
    model_version: str


class ModelsResponse(BaseModel):
    """All loaded models, the default first."""

    models: list[ModelInfo]
    numbers: bool = Field(description="Whether patents can be named by their `number`.")


class Label(BaseModel):
    """A label of a model."""

    level: str
    label: str
    name: str


class LabelsResponse(BaseModel):
    """All labels of a model, coarsest level first."""

    model: str
    model_version: str
    labels: list[Label]


class ReportResponse(BaseModel):
    """A model card and an evaluation report."""

    model: str
    model_version: str
    card: str = Field(description="The model card, Markdown.")
    report: dict[str, Any] | None = Field(
        description="The evaluation report of its test data; null if it has none."
    )


NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no NUL


PREDICTION_ID = "^[0-9a-f]{32}$"
PREDICTION_ID_EXAMPLE = "7e691700702366cc7e691700702366cc"


class FeedbackFields(Strict):
    """Fields that feedback and decisions have in common."""

    correct: bool = Field(examples=[False])
    label: str | None = Field(
        None,
        examples=["E21B"],
        max_length=200,
        description="The correct label, if the prediction is wrong: one of a model, or any code of "
        "the CPC, also deeper than the model goes.",
    )
    note: str | None = Field(None, max_length=2000, pattern=NO_NUL)


class FeedbackRequest(FeedbackFields):
    """A reviewer's feedback on one prediction."""

    prediction_id: str = Field(
        pattern=PREDICTION_ID, description="Of the prediction.", examples=[PREDICTION_ID_EXAMPLE]
    )
    reviewer: str | None = Field(
        None, max_length=100, pattern=NO_NUL, description="Name of the reviewer."
    )
    text: str | None = Field(
        None,
        description="The text as it was classified, to be stored with the feedback for training.",
    )
    keep_text: bool = Field(
        True,
        description="Whether a text that the service has stored with the prediction (setting "
        "keep_texts) is stored with the feedback, if none is sent.",
    )


class FeedbackResponse(BaseModel):
    """The feedback is stored."""

    prediction_id: str
    repeated: bool = Field(
        description="Whether it was stored before, under the same Idempotency-Key."
    )


class Signal(BaseModel):
    """A value of predictions that is monitored for drift."""

    name: str = Field(examples=["oov_rate"])
    title: str = Field(examples=[SIGNALS["oov_rate"].title])
    description: str = Field(examples=[SIGNALS["oov_rate"].description])


class Shift(BaseModel):
    """The difference of one signal between a window and the reference."""

    signal: str = Field(description=f"{', '.join(SIGNALS)}.", examples=["oov_rate"])
    psi: float = Field(description="Population stability index.")
    js: float = Field(description="Jensen-Shannon distance.")
    ks: float | None = Field(description="Kolmogorov-Smirnov statistic; null for labels.")
    p: float = Field(description="The p-value of the difference.")
    alert: bool = Field(description="Whether the shift is significant and large enough.")
    reference: float | None = Field(description="Mean of the reference; null for labels.")
    window: float | None = Field(description="Mean of the window; null for labels.")


class LabelShare(BaseModel):
    """How often a label was predicted, as shares of the reference and of the window."""

    label: str
    reference: float
    window: float


class Accuracy(BaseModel):
    """Accuracy of one level, estimated from confidences and measured by feedback."""

    rows: int
    estimated: float
    estimated_low: float
    estimated_high: float
    reviewed: int = Field(description="Predictions with feedback.")
    correct: int = Field(description="Those of them that were correct.")
    low: float | None = Field(description="Of the measured accuracy, 95 % interval (Wilson).")
    high: float | None


class Window(BaseModel):
    """A window of predictions compared with the reference."""

    number: int
    rows: int
    begin: datetime
    end: datetime
    level: str
    shifts: list[Shift]
    labels: list[LabelShare]
    accuracy: dict[str, Accuracy]


class Alert(BaseModel):
    """A window that raised an alert."""

    time: datetime
    signals: list[str]


class MonitorResponse(BaseModel):
    """The drift of a model's predictions."""

    model: str
    model_version: str
    monitored: bool = Field(description="Whether its bundle has a reference.")
    window: int = Field(description="Predictions in a window.")
    answers: int = Field(description="Predictions of this version in the store.")
    signals: list[Signal] = Field(description="All signals, in the order of the shifts.")
    accuracy: dict[str, float] = Field(description="Of the reference, by level.")
    windows: list[Window] = Field(description="Oldest first; none until the first is complete.")
    alerts: list[Alert] = Field(description="Newest first.")


class Health(BaseModel):
    """Liveness or readiness."""

    status: str = Field(examples=["ok"])


def result_of(
    prediction: Prediction, prediction_id: str, patent_id: str | None, text: bool = False
) -> dict[str, Any]:
    """The fields of ``Result``.

    :param text: whether to include the text.
    """
    return record_of(prediction) | {
        "id": patent_id,
        "prediction_id": prediction_id,
        "text": prediction.text if text else None,
        "alternatives": prediction.alternatives,
    }
