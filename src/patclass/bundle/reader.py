"""Reading a bundle: check everything, then build. Knows the layout, trusts no file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError

from patclass.bundle.golden import check_golden
from patclass.bundle.layout import LAYOUT, Description, Golden, LabelInfo
from patclass.bundle.manifest import check_manifest
from patclass.errors import BundleError, DataError, ModelError
from patclass.labels import Label, LabelSet
from patclass.model.base import BaseFiles, resolve_base
from patclass.model.classifier import Parts, PatentClassifier, load_classifier
from patclass.model.device import apply_compute, choose_compute
from patclass.model.scoring import score
from patclass.model.tokenizer import TextTokenizer

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files and labels have been checked."""

    folder: Path
    description: Description
    labels: LabelSet
    golden: Golden

    def load_model(self, device: str = "auto") -> PatentClassifier:
        """Load base, adapter and head.

        :raises BundleError: if base or weights are not those the bundle was made with.
        """
        base = self._resolve_base()
        try:
            # A bundle made where bfloat16 is real still answers, in float32, where it is not.
            if self.description.precision == "bfloat16":
                compute = choose_compute(device, "auto", torch.bfloat16)
            else:
                compute = choose_compute(device, "float32")
            apply_compute(compute)
            return load_classifier(
                Parts(base, compute), self.folder / LAYOUT.adapter, self.folder, len(self.labels)
            )
        except ModelError as problem:
            raise BundleError(f"{self.folder}: {problem}") from problem

    def load_tokenizer(self) -> TextTokenizer:
        """The tokenizer with the bundle's length limit."""
        return TextTokenizer.load(self.folder, self.description.text.max_tokens)

    def verify(self, device: str = "auto") -> float:
        """Answer the golden texts again; return the largest difference of a logit.

        :raises BundleError: if the bundle does not answer as it did when it was saved.
        """
        logits = score(self.load_model(device), self.load_tokenizer(), self.golden.texts)
        return check_golden(self.golden, logits, self.folder)

    def _resolve_base(self) -> BaseFiles:
        wanted = self.description.base
        try:
            base = resolve_base(wanted.name, wanted.revision)
        except ModelError as problem:
            raise BundleError(f"{self.folder} needs base '{wanted.name}': {problem}") from problem
        if base.sha256 != wanted.sha256:
            raise BundleError(
                f"{self.folder} was made with another base: '{wanted.name}' with SHA-256 "
                f"{wanted.sha256[:12]}…, but the one found here has {base.sha256[:12]}…. "
                "Install the same weights, or train anew."
            )
        return base


def read_bundle(folder: Path) -> Bundle:
    """Check a bundle's files, hashes and labels. Loads no weights.

    :raises BundleError: naming what is wrong and where.
    """
    check_manifest(folder)
    description = _parse(folder / LAYOUT.description, Description)
    golden = _parse(folder / LAYOUT.golden, Golden)
    labels = _read_labels(folder / LAYOUT.labels)
    if len(labels) != description.labels or tuple(labels.codes) != golden.codes:
        raise BundleError(
            f"{folder}: {LAYOUT.labels} has {len(labels)} labels {labels.codes[:12]}, but the "
            f"model was saved with {description.labels}: {list(golden.codes[:12])}."
        )
    return Bundle(folder, description, labels, golden)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise BundleError(f"{path} is damaged: {problem}") from problem


def _parse(path: Path, kind: type[Model]) -> Model:
    try:
        return kind.model_validate(_read_json(path))
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleError(f"{path} is damaged at '{where}': {first['msg'].lower()}.") from problem


def _read_labels(path: Path) -> LabelSet:
    try:
        entries = [LabelInfo.model_validate(entry) for entry in _read_json(path)]
        return LabelSet(tuple(Label(entry.code, entry.name) for entry in entries))
    except (ValidationError, TypeError, DataError) as problem:
        raise BundleError(f"{path} is damaged: {problem}") from problem
