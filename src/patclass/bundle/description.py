"""Which files make a bundle, and what its description says. Knows names and types only.

Format 4 is the first that a release writes. A bundle of any other format is refused with the way
out.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat

from patclass.core.settings import (
    MOST_TOKENS,
    AnswerSettings,
    BaseModelSettings,
    DataSettings,
    FewShotSettings,
    FitSettings,
    LoraSettings,
)
from patclass.core.types import Frozen
from patclass.model.tokenizer import Truncation

EngineKind = Literal["openvino", "merged"]

# Above this confidence the original is sure.
SURE = 0.6


class LevelParity(Frozen):
    """The predictions at one level compared with those of the exported model's original.

    ``agreement`` is the share of texts with the same label, ``sure_agreement`` that among
    texts where the original's confidence is above 0.6 (``sure`` of them). ``f1_loss`` and
    ``ece_rise`` are fractions, on the ``labelled`` texts; None where no label is known.
    ``f1_loss_low`` is the lower end of the loss's interval by a paired bootstrap: the loss is more
    than chance if it is above 0.
    """

    agreement: float
    sure_agreement: float
    sure: int
    labelled: int
    f1_loss: float | None
    ece_rise: float | None
    f1_loss_low: float | None = None


class Parity(Frozen):
    """What was compared on how many texts, and what came out, by level.

    ``codes_agreement`` is the F1 score of the codes that the export gives each text against those
    that its original gives; 1 without any.
    """

    texts: int
    source: str
    largest_logit_difference: float
    levels: dict[str, LevelParity]
    codes_agreement: float


class EngineInfo(Frozen):
    """The engine of an exported bundle.

    ``weights`` is the way they are stored; ``made_from`` the SHA-256 of the manifest of the
    bundle that was exported; ``refused`` says which ways were tried before, and why not taken.
    ``exported_on`` names the processor's architecture and those of its instruction sets by which
    int8 and bfloat16 differ.
    """

    kind: EngineKind
    weights: str
    made_from: str
    parity: Parity
    refused: tuple[str, ...] = ()
    exported_on: tuple[str, ...] = ()


def text_of(parity: Parity) -> str:
    """A table for the terminal and the model card."""
    lines = [
        f"{parity.texts:,} texts of {parity.source}; largest difference of a logit "
        f"{parity.largest_logit_difference:.2g}",
        f"{'level':10} {'agree':>7} {f'above {SURE:g}':>10} {'macro F1':>9} {'ECE':>7}",
    ]
    for level, at in parity.levels.items():
        f1 = "" if at.f1_loss is None else f"{-at.f1_loss * 100:+z.2f}"
        ece = "" if at.ece_rise is None else f"{at.ece_rise * 100:+z.2f}"
        lines.append(f"{level:10} {at.agreement:7.1%} {at.sure_agreement:10.1%} {f1:>9} {ece:>7}")
    return "\n".join(lines)


class Lineage(Frozen):
    """A model's parent, and the feedback that it was retrained on.

    ``parent`` is the parent's version. Feedback is numbered as in the store; those from
    ``feedback_from`` to ``feedback_until`` were considered. ``rows`` says how many texts went into
    each part, ``gate`` being those kept back to judge the model, ``left_out`` how many texts could
    not be used, by reason. ``weight`` is that of a text with feedback, relative to a row of the
    data.
    """

    parent: str
    feedback_from: int = Field(ge=0)
    feedback_until: int = Field(ge=0)
    rows: dict[str, int]
    left_out: dict[str, int]
    weight: float = Field(gt=0)


FORMAT: Final = "patclass-bundle"
VERSION = 5


@dataclass(frozen=True)
class Layout:
    """The files of a bundle besides those of its components, relative to its folder."""

    manifest: str = "manifest.json"
    description: str = "bundle.json"
    labels: str = "labels.json"
    adapter: str = "adapter"
    head: str = "head.safetensors"
    tokenizer: str = "tokenizer.json"
    golden: str = "golden.json"
    lineage: str = "lineage.json"
    base: str = "base"
    engine: str = "engine"
    report: str = "report.json"
    few_shot: str = "few_shot.json"
    report_page: str = "report.html"
    confusion: str = "confusion.png"
    curve: str = "curve.jsonl"
    card: str = "README.md"

    @property
    def required(self) -> tuple[str, ...]:
        """Files that every bundle has, whatever computes it."""
        return (self.description, self.labels, self.tokenizer, self.golden)

    def weights(self, engine: EngineInfo | None, embedded: bool) -> tuple[str, ...]:
        """Files that hold the model itself.

        :param embedded: whether the base is in the bundle.
        """
        if engine is not None and engine.kind == "openvino":
            return (f"{self.engine}/model.xml", f"{self.engine}/model.bin")
        base = (f"{self.base}/config.json", f"{self.base}/model.safetensors") if embedded else ()
        names = ("adapter_config.json", "adapter_model.safetensors") if engine is None else ()
        return (*base, *(f"{self.adapter}/{name}" for name in names), self.head)


LAYOUT = Layout()


class Manifest(Frozen):
    """Every other file with its SHA-256; written last."""

    format: Literal["patclass-bundle"]
    version: int
    files: dict[str, str]


class BaseInfo(Frozen):
    """The base the adapter belongs to."""

    name: str
    revision: str | None
    sha256: str
    model_type: str
    embedded: bool = False


class TextInfo(Frozen):
    """How a patent becomes the text that is read."""

    view: str = Field(pattern=r"^[^+]+(\+[^+]+)*$")
    max_tokens: int = Field(ge=1, le=MOST_TOKENS)
    truncation: Truncation = "head"


class DataInfo(Frozen):
    """What the model has learnt from.

    ``languages`` are those of the training texts, as ISO 639-1 codes; empty if they cannot be told
    or the bundle does not state them. No text is then reported as foreign.
    """

    source: str
    fingerprint: str
    rows: dict[str, int]
    rejects: dict[str, int]
    languages: tuple[str, ...] = ()


class RunSettings(Frozen):
    """The settings of the run; where the result went says nothing about it."""

    data: DataSettings
    base: BaseModelSettings
    lora: LoraSettings
    fit: FitSettings
    answer: AnswerSettings = AnswerSettings()
    few: FewShotSettings = FewShotSettings()


class Description(Frozen):
    """``bundle.json``."""

    patclass: str
    created: str
    base: BaseInfo
    pooling: Literal["mean", "last"]
    precision: Literal["float32", "bfloat16"]
    text: TextInfo
    labels: int
    data: DataInfo
    interrupted: bool
    settings: RunSettings
    engine: EngineInfo | None = None

    @property
    def arithmetic(self) -> Literal["float32", "bfloat16", "int8"]:
        """In what the predictions are computed."""
        if self.engine is None or self.engine.kind == "merged":
            return self.precision
        weights = self.engine.weights
        return (
            "bfloat16" if weights == "bfloat16" else "float32" if weights == "float32" else "int8"
        )

    def data_settings(self) -> DataSettings:
        """The data of the run, with the view of the text that was decided there."""
        return self.settings.data.model_copy(update={"text": self.text.view})


class Golden(Frozen):
    """Texts with what the model made of them when it was saved.

    ``logits`` are those of the tuned model; ``probabilities`` those of the coarsest level's
    labels, after mixing with the linear model and calibration.
    """

    codes: tuple[str, ...]
    tolerance: float = Field(gt=0)
    texts: tuple[Annotated[str, Field(min_length=1, max_length=10_000)], ...] = Field(
        min_length=1, max_length=100
    )
    logits: tuple[tuple[FiniteFloat, ...], ...]
    probabilities: tuple[tuple[FiniteFloat, ...], ...]

    def first(self, texts: int | None) -> "Golden":
        """The same of the first texts; of all if None."""
        parts = ("texts", "logits", "probabilities")
        return self.model_copy(update={name: getattr(self, name)[:texts] for name in parts})
