"""Reading and writing a bundle: nothing unchecked is read, nothing half is written.

Knows the layout; no report and no training.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from patclass.bundle.description import LAYOUT, Description, Golden, Lineage
from patclass.bundle.golden import check_golden, make_golden
from patclass.bundle.manifest import (
    check_listed,
    check_manifest,
    fingerprint_of,
    manifest_sha256,
    write_manifest,
)
from patclass.core.errors import BundleError, DataError, ModelError
from patclass.core.files import atomic_folder, write_json
from patclass.cpc.tree import LabelTree
from patclass.engines.base import Engine
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.calibration import Calibration
from patclass.predictor.components import COMPONENTS, Components
from patclass.predictor.conformal import ConformalSets
from patclass.predictor.drift_reference import DriftReference
from patclass.predictor.neighbours import NeighbourIndex
from patclass.predictor.pipeline import Pipeline

Model = TypeVar("Model", bound=BaseModel)
Write = Callable[[Path], object]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files and labels have been checked."""

    folder: Path
    description: Description
    tree: LabelTree
    golden: Golden
    components: Components

    @cached_property
    def fingerprint(self) -> str:
        """Its version."""
        return fingerprint_of(self.sha256)

    @cached_property
    def sha256(self) -> str:
        """The hash over the hashes of all its files."""
        return manifest_sha256(self.folder)

    def load_pipeline(self, device: str = "auto") -> Pipeline:
        """Load all that turns a text into probabilities.

        :raises BundleError: if base or weights are not those the bundle was made with.
        """
        try:
            tokenizer = self.load_tokenizer()
            return self.pipeline_with(self._load_engine(tokenizer, device), tokenizer)
        except ModelError as problem:
            raise BundleError(f"{self.folder}: {problem}") from problem

    def pipeline_with(self, engine: Engine, tokenizer: TextTokenizer) -> Pipeline:
        """The pipeline with another engine."""
        truncation = self.description.text.truncation
        return Pipeline(self.tree, engine, tokenizer, truncation, self.components)

    def _load_engine(self, tokenizer: TextTokenizer, device: str) -> Engine:
        # Each library only where it is needed: an exported bundle runs without torch.
        engine = self.description.engine
        if engine is not None and engine.kind == "openvino":
            from patclass.engines.openvino import OpenVinoEngine

            if device not in ("auto", "cpu"):
                raise ModelError(
                    f"device {device}: the bundle was exported for the CPU; use cpu or auto."
                )
            exact = engine.weights == "float32"
            return OpenVinoEngine.load(self.folder / LAYOUT.engine, tokenizer, exact)
        from patclass.bundle.weights import load_weights
        from patclass.engines.torch import TorchEngine

        model = load_weights(self.folder, self.description, self.tree.outputs, device)
        return TorchEngine(model, tokenizer)

    def load_tokenizer(self) -> TextTokenizer:
        """The tokenizer with the bundle's length limit."""
        return TextTokenizer.load(self.folder, self.description.text.max_tokens)

    @property
    def calibration(self) -> Calibration:
        """Temperatures and thresholds."""
        return self.components.get(Calibration) or Calibration.none(self.tree)

    @property
    def conformal(self) -> ConformalSets:
        """Held-out scores behind label sets."""
        return self.components.get(ConformalSets) or ConformalSets({})

    @property
    def neighbours(self) -> NeighbourIndex | None:
        """The index of training patents, if one was kept."""
        return self.components.get(NeighbourIndex)

    @property
    def reference(self) -> DriftReference | None:
        """The figures that windows of live predictions are compared with."""
        return self.components.get(DriftReference)

    @cached_property
    def lineage(self) -> Lineage | None:
        """What it was retrained from, if it was.

        :raises BundleError: if the file is damaged.
        """
        path = self.folder / LAYOUT.lineage
        return _parse(path, Lineage) if path.is_file() else None

    def verify(self, device: str = "auto") -> float:
        """Answer the golden texts again; return the largest difference of a logit.

        :raises BundleError: if the bundle does not answer as it did when it was saved.
        """
        return check_golden(self.golden, self.load_pipeline(device), self.folder)


def read_bundle(folder: Path) -> Bundle:
    """Check a bundle's files, hashes, labels and components. Loads no weights of the model.

    :raises BundleError: naming what is wrong and where.
    """
    manifest = check_manifest(folder)
    description = _parse(folder / LAYOUT.description, Description)
    required = [component.FILE for component in COMPONENTS if component.REQUIRED]
    check_listed(folder, manifest, (*LAYOUT.weights(description.engine), *required))
    golden = _parse(folder / LAYOUT.golden, Golden)
    try:
        tree = LabelTree.parse(_read_json(folder / LAYOUT.labels))
    except DataError as problem:
        raise BundleError(f"{folder / LAYOUT.labels} is damaged: {problem}") from problem
    codes = tree.output_codes
    if tree.outputs != description.labels or codes != golden.codes:
        raise BundleError(
            f"{folder}: {LAYOUT.labels} has {tree.outputs} labels {list(codes[:12])}, but the "
            f"model was saved with {description.labels}: {list(golden.codes[:12])}."
        )
    try:
        components = Components.load(folder, tree)
    except ModelError as problem:
        raise BundleError(f"{folder}: {problem}") from problem
    return Bundle(folder, description, tree, golden, components)


def write_bundle(
    target: Path,
    pipeline: Pipeline,
    description: Description,
    write_engine: Write,
    write_documents: Write = lambda folder: None,
    lineage: Lineage | None = None,
    check: Write = lambda folder: None,
) -> None:
    """Write the folder ``target``.

    :param pipeline: what the bundle answers with; its components are saved.
    :param write_engine: called with the folder, writes the model's own files into it.
    :param write_documents: the same for documents: report, model card.
    :param check: called with the finished folder before it takes its place; an error that it
        raises keeps the bundle from appearing.
    :raises OutputError: if the disk is full or the place cannot be written.
    """
    golden = make_golden(pipeline, description.arithmetic)
    with atomic_folder(target, LAYOUT.manifest) as folder:
        write_engine(folder)
        pipeline.tokenizer.save(folder)
        pipeline.components.save(folder)
        write_json(folder / LAYOUT.labels, pipeline.tree.dump())
        write_json(folder / LAYOUT.description, description.model_dump())
        write_json(folder / LAYOUT.golden, golden.model_dump())
        if lineage is not None:
            write_json(folder / LAYOUT.lineage, lineage.model_dump())
        write_documents(folder)
        write_manifest(folder)
        check(folder)


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
