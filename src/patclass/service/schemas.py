"""What goes in and out over HTTP; the promises of the API. Knows fields only."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from patclass.inference.prediction import Prediction, record_of
from patclass.service.errors import ErrorBody

EXAMPLE = (
    "A drill bit for boreholes has a steel body with blades that carry cutters of polycrystalline "
    "diamond, and nozzles that flush cuttings into the annulus."
)


class Strict(BaseModel):
    """A request's body: fields that nobody knows are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PredictRequest(Strict):
    """One text."""

    text: str = Field(description="Title and abstract, or more.", examples=[EXAMPLE])


class Patent(Strict):
    """A patent by its fields; the model reads those that it was trained on."""

    id: str | None = Field(None, max_length=200, description="Comes back with the result.")
    text: str | None = None
    title: str | None = None
    abstract: str | None = None
    claims: str | None = None
    description: str | None = None


class ClassifyRequest(Strict):
    """One or many texts or patents."""

    patents: str | Patent | list[str | Patent] = Field(
        description="A text, a patent, or a list of them.",
        examples=[[EXAMPLE, {"id": "EP1", "title": "Loom", "abstract": "A loom has a heald."}]],
    )
    model: str | None = Field(None, description="Name of a loaded model; the first if left out.")
    level: str = Field("auto", description="section, class, subclass, or auto: the deepest sure.")
    k: int = Field(3, ge=1, le=100, description="How many labels of the level to name.")
    threshold: float | None = Field(None, ge=0, le=1, description="Confidence that auto asks for.")
    set: float | None = Field(
        None, gt=0, lt=1, description="Also name the labels that hold the truth this often."
    )
    evidence: bool = Field(
        False,
        description="Also name near patents, what each passage contributes, and the text in whose "
        "characters passages are counted (slower).",
    )
    alternatives: bool = Field(
        False, description="Also name the labels of every level that have a part in a thousand."
    )


class ScoredLabel(BaseModel):
    """A label with its probability."""

    model_config = ConfigDict(from_attributes=True)

    label: str
    name: str
    confidence: float


class Passage(BaseModel):
    """A part of the text that was read, by characters."""

    start: int
    end: int
    contribution: float


class Neighbour(BaseModel):
    """A known patent that is near."""

    id: str
    title: str | None
    codes: list[str]
    similarity: float


Share = Annotated[float, Field(ge=0, le=1)]


class Result(BaseModel):
    """The answer for one patent."""

    id: str | None = None
    prediction_id: str
    label: str
    name: str
    confidence: float
    level: str
    sure: bool
    section: str | None
    section_confidence: float | None
    class_: str | None = Field(serialization_alias="class", validation_alias="class")
    class_confidence: float | None
    subclass: str | None
    subclass_confidence: float | None
    path: list[ScoredLabel]
    top: list[ScoredLabel]
    set: list[ScoredLabel] | None
    tags: list[ScoredLabel]
    read: float = Field(description="Share of the text that was read.")
    passages: list[Passage]
    neighbours: list[Neighbour]
    warnings: list[str]
    text: str | None = Field(None, description="What was given to be read; with evidence.")
    alternatives: dict[str, list[ScoredLabel]] | None = Field(
        None, description="By level, the most probable first; if asked for."
    )
    error: None = None


class FailedResult(BaseModel):
    """A patent that could not be answered; the others of the request were."""

    id: str | None = None
    error: ErrorBody


class ModelInfo(BaseModel):
    """A loaded model."""

    name: str
    version: str
    engine: str
    levels: list[str]
    labels: dict[str, int] = Field(description="How many labels each level has.")
    max_tokens: int
    default: bool
    evidence: bool = Field(description="Whether it can name near patents.")
    set_levels: list[str] = Field(
        description="Levels for which it can name the labels that hold the truth nine times in ten."
    )


class ClassifyResponse(BaseModel):
    """One result for each patent, in their order."""

    model: str
    model_version: str
    results: list[Result | FailedResult]


class PredictResponse(BaseModel):
    """The answer for one text, with the label on top as ``prediction``."""

    prediction: str = Field(examples=["E21B"])
    name: str
    confidence: float
    level: str
    sure: bool
    path: list[ScoredLabel]
    top: list[ScoredLabel]
    read: float
    warnings: list[str]
    prediction_id: str
    model: str
    model_version: str


class ModelsResponse(BaseModel):
    """All loaded models, the default first."""

    models: list[ModelInfo]


class Label(BaseModel):
    """A label that a model knows."""

    level: str
    label: str
    name: str


class LabelsResponse(BaseModel):
    """All labels of a model, coarsest level first."""

    model: str
    model_version: str
    labels: list[Label]


class ReportResponse(BaseModel):
    """What is known of a model's quality."""

    model: str
    model_version: str
    card: str = Field(description="The model card, Markdown.")
    report: dict[str, Any] | None = Field(
        description="Its evaluation as 'patclass evaluate --json' writes it; null if it has none."
    )


NO_NUL = r"^[^\x00]*$"  # no database keeps one


class FeedbackRequest(Strict):
    """A person's verdict on one prediction."""

    prediction_id: str = Field(
        pattern="^[0-9a-f]{32}$",
        description="Came with the prediction.",
        examples=["7e691700702366cc7e691700702366cc"],
    )
    correct: bool = Field(examples=[False])
    label: str | None = Field(
        None,
        examples=["E21B"],
        max_length=200,
        description="What it should have been, if it was wrong.",
    )
    note: str | None = Field(None, max_length=2000, pattern=NO_NUL)
    reviewer: str | None = Field(None, max_length=100, pattern=NO_NUL, description="Who says so.")
    text: str | None = Field(
        None,
        description="The patent's text as it was classified, to be kept with the verdict, so that "
        "a new model can learn from it.",
    )
    keep_text: bool = Field(
        True,
        description="Whether a text that the service has kept with its answer (--keep-texts) may "
        "be kept with the verdict, if none is sent.",
    )


class FeedbackResponse(BaseModel):
    """The verdict is kept."""

    prediction_id: str
    repeated: bool = Field(description="Whether it was kept before, under the same key.")


class Shift(BaseModel):
    """How one signal of a window differs from the reference."""

    signal: str = Field(description="confidence, labels, length, unseen or distance.")
    psi: float = Field(description="Population stability index.")
    js: float = Field(description="Jensen-Shannon distance.")
    ks: float | None = Field(description="Largest gap between the distributions.")
    p: float = Field(description="How often chance brings about so large a difference.")
    alert: bool
    reference: float | None = Field(description="Mean of the reference.")
    window: float | None = Field(description="Mean of the window.")


class LabelShare(BaseModel):
    """How often a label was answered."""

    label: str
    reference: float
    window: float


class Accuracy(BaseModel):
    """Of the answers at one level; estimated from confidences, measured by verdicts."""

    rows: int
    estimated: float
    estimated_low: float
    estimated_high: float
    judged: int
    right: int
    low: float | None
    high: float | None


class Window(BaseModel):
    """A window of answers beside the reference."""

    number: int
    rows: int
    begin: datetime
    end: datetime
    level: str
    shifts: list[Shift]
    labels: list[LabelShare]
    accuracy: dict[str, Accuracy]


class Alert(BaseModel):
    """A window that rang."""

    time: datetime
    signals: list[str]


class MonitorResponse(BaseModel):
    """How a model's answers have shifted."""

    model: str
    model_version: str
    watched: bool = Field(description="Whether its bundle has a reference to compare with.")
    window: int = Field(description="Answers in a window.")
    answers: int = Field(description="Answers of this version so far.")
    accuracy: dict[str, float] = Field(description="Of the reference, by level.")
    windows: list[Window] = Field(description="Oldest first; none until the first is full.")
    alerts: list[Alert] = Field(description="Newest first.")


class Health(BaseModel):
    """Whether the service lives, or is ready."""

    status: str = Field(examples=["ok"])


def result_of(
    prediction: Prediction, prediction_id: str, patent_id: str | None, text: bool = False
) -> dict[str, Any]:
    """The fields of ``Result``.

    :param text: whether to repeat the text.
    """
    return record_of(prediction) | {
        "id": patent_id,
        "prediction_id": prediction_id,
        "text": prediction.text if text else None,
        "alternatives": prediction.alternatives,
    }
