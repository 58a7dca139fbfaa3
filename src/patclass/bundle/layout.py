"""Which files make a bundle, and what its description says. Knows names and types only.

Version 1. A later version gets a reader of its own; a bundle of a version that this release
does not know is refused with the way out.
"""

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from patclass.config import BaseSettings, DataSettings, FitSettings, LoraSettings

FORMAT: Final = "patclass-bundle"
VERSION = 1


@dataclass(frozen=True)
class Layout:
    """The files of a bundle, relative to its folder."""

    manifest: str = "manifest.json"
    description: str = "bundle.json"
    labels: str = "labels.json"
    adapter: str = "adapter"
    head: str = "head.safetensors"
    tokenizer: str = "tokenizer.json"
    golden: str = "golden.json"
    report: str = "report.json"
    confusion: str = "confusion.png"
    curve: str = "curve.jsonl"
    card: str = "README.md"

    @property
    def required(self) -> tuple[str, ...]:
        """Files without which there is no answer."""
        return (
            self.description,
            self.labels,
            f"{self.adapter}/adapter_config.json",
            f"{self.adapter}/adapter_model.safetensors",
            self.head,
            self.tokenizer,
            self.golden,
        )


LAYOUT = Layout()


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Manifest(_Frozen):
    """Every other file with its SHA-256; written last."""

    format: Literal["patclass-bundle"]
    version: int
    files: dict[str, str]


class BaseInfo(_Frozen):
    """The base the adapter belongs to."""

    name: str
    revision: str | None
    sha256: str
    model_type: str


class TextInfo(_Frozen):
    """How a patent becomes the text that is read."""

    view: str
    max_tokens: int


class DataInfo(_Frozen):
    """What the model has learnt from."""

    source: str
    fingerprint: str
    rows: dict[str, int]
    rejects: dict[str, int]


class LabelInfo(_Frozen):
    """One label, in output order."""

    code: str
    name: str


class RunSettings(_Frozen):
    """The settings of the run; where the result went says nothing about it."""

    data: DataSettings
    base: BaseSettings
    lora: LoraSettings
    fit: FitSettings


class Description(_Frozen):
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


class Golden(_Frozen):
    """Texts with the logits that the model gave when it was saved."""

    codes: tuple[str, ...]
    tolerance: float
    texts: tuple[str, ...]
    logits: tuple[tuple[float, ...], ...]
