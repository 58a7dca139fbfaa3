"""Reading a bundle: check everything, then build. Knows the layout, trusts no file."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from patclass.bundle import version1
from patclass.bundle.description import (
    LAYOUT,
    CalibrationInfo,
    Description,
    Golden,
    LabelInfo,
    Lineage,
)
from patclass.bundle.golden import check_golden
from patclass.bundle.manifest import check_listed, check_manifest
from patclass.core.errors import BundleError, DataError, ModelError
from patclass.core.files import file_sha256
from patclass.cpc.tree import Label, LabelSet, LabelTree
from patclass.engines.base import Engine
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.calibration import Calibration
from patclass.predictor.conformal import Conformal
from patclass.predictor.linear import LinearModel
from patclass.predictor.neighbours import Index
from patclass.predictor.pipeline import Pipeline
from patclass.predictor.reference import Reference

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files and labels have been checked."""

    folder: Path
    version: int
    description: Description
    tree: LabelTree
    calibration: CalibrationInfo
    golden: Golden

    @cached_property
    def fingerprint(self) -> str:
        """Its version: the first twelve digits of the hash over its files' hashes."""
        return file_sha256(self.folder / LAYOUT.manifest, BundleError)[:12]

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
        """The same around another engine.

        :raises ModelError: if the second opinion is damaged.
        """
        coarsest, stored = self.tree.at(self.tree.levels[0]), self.calibration
        there = (self.folder / LAYOUT.linear).is_file()
        return Pipeline(
            self.tree,
            engine,
            tokenizer,
            self.description.text.truncation,
            LinearModel.load(self.folder, len(coarsest)) if there else None,
            Calibration(stored.inverse_temperatures, stored.linear_weight, stored.smoothing),
        )

    def _load_engine(self, tokenizer: TextTokenizer, device: str) -> Engine:
        # Each library only where it is needed: an exported bundle answers without torch.
        engine = self.description.engine
        if engine is not None and engine.kind == "openvino":
            from patclass.engines.openvino import OpenVinoEngine

            if device not in ("auto", "cpu"):
                raise ModelError(
                    f"--device {device}: it was exported for the CPU; use cpu or auto."
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

    @cached_property
    def index(self) -> Index | None:
        """The labelled patents kept as evidence, if any.

        :raises BundleError: if they are damaged.
        """
        if not (self.folder / LAYOUT.neighbours).is_file():
            return None
        try:
            return Index.load(self.folder)
        except ModelError as problem:
            raise BundleError(f"{self.folder}: {problem}") from problem

    @cached_property
    def reference(self) -> Reference | None:
        """What live answers are compared with; none in bundles from before there was any.

        :raises BundleError: if it is damaged.
        """
        if not (self.folder / LAYOUT.reference).is_file():
            return None
        try:
            return Reference.load(self.folder)
        except ModelError as problem:
            raise BundleError(f"{self.folder}: {problem}") from problem

    @cached_property
    def lineage(self) -> Lineage | None:
        """What it comes from, if it was retrained.

        :raises BundleError: if the file is damaged.
        """
        path = self.folder / LAYOUT.lineage
        return _parse(path, Lineage) if path.is_file() else None

    @cached_property
    def conformal(self) -> dict[str, Conformal]:
        """What label sets are made from, by level; none in old bundles.

        :raises BundleError: if the file is damaged.
        """
        path = self.folder / LAYOUT.conformal
        if not path.is_file():
            return {}
        try:
            arrays = load_file(path)
            levels = [level for level in self.tree.levels if f"{level}/scores" in arrays]
            return {
                level: Conformal(arrays[f"{level}/scores"], arrays[f"{level}/labels"])
                for level in levels
            }
        except (OSError, SafetensorError, KeyError) as problem:
            raise BundleError(f"{path} is damaged: {problem}") from problem

    def verify(self, device: str = "auto") -> float:
        """Answer the golden texts again; return the largest difference of a logit.

        :raises BundleError: if the bundle does not answer as it did when it was saved.
        """
        return check_golden(self.golden, self.load_pipeline(device), self.folder)


def read_bundle(folder: Path) -> Bundle:
    """Check a bundle's files, hashes and labels. Loads no weights.

    :raises BundleError: naming what is wrong and where.
    """
    manifest = check_manifest(folder)
    description = _parse(folder / LAYOUT.description, Description)
    check_listed(folder, manifest, LAYOUT.weights(description.engine))
    golden = _parse(folder / LAYOUT.golden, Golden)
    if manifest.version == 1:
        labels = _validate(folder / LAYOUT.labels, LabelInfo, _labels_of_version1(folder))
        calibration = CalibrationInfo.model_validate(version1.upgrade_calibration())
    else:
        labels = _parse(folder / LAYOUT.labels, LabelInfo)
        calibration = _parse(folder / LAYOUT.calibration, CalibrationInfo)
    tree = _tree(folder / LAYOUT.labels, labels)
    codes = tree.output_codes
    if tree.outputs != description.labels or codes != golden.codes:
        raise BundleError(
            f"{folder}: {LAYOUT.labels} has {tree.outputs} labels {list(codes[:12])}, but the "
            f"model was saved with {description.labels}: {list(golden.codes[:12])}."
        )
    sizes = {
        len(calibration.inverse_temperatures),
        len(calibration.smoothing or calibration.inverse_temperatures),
    }
    if sizes != {len(tree.levels)}:
        raise BundleError(f"{folder}: {LAYOUT.calibration} is not made for {tree.levels}.")
    return Bundle(folder, manifest.version, description, tree, calibration, golden)


def _labels_of_version1(folder: Path) -> Any:
    settings = _read_json(folder / LAYOUT.description)["settings"]
    try:
        return version1.upgrade_labels(_read_json(folder / LAYOUT.labels), settings)
    except (TypeError, KeyError) as problem:
        raise BundleError(f"{folder / LAYOUT.labels} is damaged: {problem!r}") from problem


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise BundleError(f"{path} is damaged: {problem}") from problem


def _parse(path: Path, kind: type[Model]) -> Model:
    return _validate(path, kind, _read_json(path))


def _validate(path: Path, kind: type[Model], data: Any) -> Model:
    try:
        return kind.model_validate(data)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleError(f"{path} is damaged at '{where}': {first['msg'].lower()}.") from problem


def _tree(path: Path, info: LabelInfo) -> LabelTree:
    try:
        tags = LabelSet(tuple(Label(code, info.names[code]) for code in info.tags))
        tree = LabelTree(info.levels, info.paths, info.names, tags)
        if not all(len(tree.at(level)) for level in tree.levels):
            raise DataError("a level has no label")
        if not all(0 < len(path) <= len(tree.levels) for path in tree.paths):
            raise DataError("a label is deeper than the levels, or empty")
        if len(set(tree.paths)) < len(tree.paths):
            raise DataError("a label occurs twice")
        return tree
    except (KeyError, IndexError, DataError) as problem:
        raise BundleError(f"{path} is damaged: {problem}") from problem
