"""Reading and writing a bundle: nothing unchecked is read, nothing half is written.

Knows the layout; no report and no training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from patclass.bundle.description import LAYOUT, Description, Golden, Lineage
from patclass.bundle.golden import REMEDY, check_golden, check_recorded, make_golden
from patclass.bundle.manifest import (
    Listed,
    check_manifest,
    fingerprint_of,
    parse_json_of,
    write_manifest,
)
from patclass.core.errors import BundleError, DataError, ModelError
from patclass.core.files import atomic_folder, write_json
from patclass.cpc.tree import LabelTree
from patclass.engines.base import Engine, instruction_sets
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.all_codes import AllCodes
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
    listed: Listed
    description: Description
    tree: LabelTree
    golden: Golden
    components: Components

    @cached_property
    def fingerprint(self) -> str:
        """Its version."""
        return fingerprint_of(self.sha256)

    @property
    def sha256(self) -> str:
        """The hash over the hashes of all its files."""
        return self.listed.sha256

    def load_pipeline(self, device: str = "auto", threads: int = 0) -> Pipeline:
        """Load all that turns a text into probabilities.

        :param threads: how many an exported model uses; 0 for one for each core.
        :raises BundleError: if base or weights are not those the bundle was made with.
        """
        try:
            tokenizer = self.load_tokenizer()
            pipeline = self.pipeline_with(self._load_engine(tokenizer, device, threads), tokenizer)
        except ModelError as problem:
            raise BundleError(f"{self.folder}: {problem}") from problem
        # One short text shows that the parts fit; all show whether the arithmetic is the same.
        self.check(pipeline, None if self._exported_elsewhere else 1)
        self._check_width(pipeline.run(self.golden.texts[:1]).embeddings.shape[1])
        return pipeline

    def _check_width(self, hidden: int) -> None:
        """Refuse components that were made of embeddings of another width."""
        means = {
            NeighbourIndex.FILE: None if self.neighbours is None else self.neighbours.mean,
            DriftReference.FILE: None if self.reference is None else self.reference.space.mean,
        }
        for name, mean in means.items():
            if mean is not None and len(mean) != hidden:
                raise BundleError(
                    f"{self.folder}: {name} is of embeddings of {len(mean)} values, but the model "
                    f"gives {hidden}."
                )

    def check(self, pipeline: Pipeline, texts: int | None = None) -> float:
        """Answer the golden texts, or the first few; return the largest difference of a logit.

        :raises BundleError: if an answer is not the one that was saved, saying what to do.
        """
        golden = self.golden.first(texts)
        remedy = REMEDY
        if self._exported_elsewhere:
            assert self.description.engine is not None
            there, here = (
                ", ".join(names) or "unknown instructions"
                for names in (self.description.engine.exported_on, instruction_sets())
            )
            remedy = (
                f"It was exported on a processor with {there}; this one has {here}. Export it "
                "again on this one, or as openvino-f32, with 'patclass export'."
            )
        return check_golden(golden, pipeline, self.folder, remedy)

    @property
    def _exported_elsewhere(self) -> bool:
        """Whether it computes in few bits, and was compared on another kind of processor."""
        engine = self.description.engine
        return (
            engine is not None
            and engine.kind == "openvino"
            and self.description.arithmetic != "float32"
            and (engine.exported_on != instruction_sets() or not engine.exported_on)
        )

    def pipeline_with(self, engine: Engine, tokenizer: TextTokenizer) -> Pipeline:
        """The pipeline with another engine."""
        truncation = self.description.text.truncation
        return Pipeline(self.tree, engine, tokenizer, truncation, self.components)

    def _load_engine(self, tokenizer: TextTokenizer, device: str, threads: int) -> Engine:
        # Each library only where it is needed: an exported bundle runs without torch.
        engine = self.description.engine
        if engine is not None and engine.kind == "openvino":
            from patclass.engines.openvino import OpenVinoEngine

            if device not in ("auto", "cpu"):
                raise ModelError(
                    f"device {device}: the bundle was exported for the CPU; use cpu or auto."
                )
            exact = engine.weights == "float32"
            return OpenVinoEngine.load(self.folder / LAYOUT.engine, tokenizer, exact, threads)
        from patclass.bundle.weights import load_weights
        from patclass.engines.torch import TorchEngine

        model = load_weights(self.folder, self.description, self.tree.outputs, device)
        return TorchEngine(model, tokenizer)

    def load_tokenizer(self) -> TextTokenizer:
        """The tokenizer with the bundle's length limit."""
        data = self.listed.read(LAYOUT.tokenizer)
        assert data is not None  # every bundle lists it
        return TextTokenizer.parse(data, self.description.text.max_tokens)

    @property
    def calibration(self) -> Calibration:
        """Temperatures and thresholds."""
        return self.components.get(Calibration) or Calibration.none(self.tree)

    @property
    def conformal(self) -> ConformalSets:
        """Held-out scores behind label sets."""
        return self.components.get(ConformalSets) or ConformalSets({})

    @property
    def all_codes(self) -> AllCodes | None:
        """The probabilities and thresholds of all codes, if they were fitted."""
        return self.components.get(AllCodes)

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
        return self.listed.parse(LAYOUT.lineage, Lineage)

    @cached_property
    def card(self) -> str:
        """The model card, Markdown; empty if it has none.

        :raises BundleError: if it is no text.
        """
        data = self.listed.read(LAYOUT.card) or b""
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as problem:
            path = self.folder / LAYOUT.card
            raise BundleError(f"{path} is damaged: it is no text in UTF-8.") from problem

    def verify(self, device: str = "auto") -> float:
        """Answer the golden texts again; return the largest difference of a logit.

        :raises BundleError: if the bundle does not answer as it did when it was saved.
        """
        return self.check(self.load_pipeline(device))


def read_bundle(folder: Path) -> Bundle:
    """Check a bundle's files, hashes, labels and components. Loads no weights of the model.

    :raises BundleError: naming what is wrong and where.
    """
    listed = check_manifest(folder)
    description = _required(listed, LAYOUT.description, Description)
    required = [component.FILE for component in COMPONENTS if component.REQUIRED]
    weights = LAYOUT.weights(description.engine, description.base.embedded)
    listed.require((*weights, *required))
    _refuse_other_weights(listed, weights)
    golden = _required(listed, LAYOUT.golden, Golden)
    tree = _read_tree(listed)
    codes = tree.output_codes
    if tree.outputs != description.labels or codes != golden.codes:
        raise BundleError(
            f"{folder}: {LAYOUT.labels} has {tree.outputs} labels {list(codes[:12])}, but the "
            f"model was saved with {description.labels}: {list(golden.codes[:12])}."
        )
    check_recorded(golden, tree, description.arithmetic, folder / LAYOUT.golden)
    try:
        components = Components.load(listed.read, tree)
    except ModelError as problem:
        raise BundleError(f"{folder}: {problem}") from problem
    bundle = Bundle(folder, listed, description, tree, golden, components)
    _ = bundle.card, bundle.lineage  # damage is reported now rather than when they are asked for
    return bundle


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


def _required(listed: Listed, name: str, kind: type[Model]) -> Model:
    found = listed.parse(name, kind)
    assert found is not None  # every bundle lists it
    return found


def _read_tree(listed: Listed) -> LabelTree:
    path = listed.folder / LAYOUT.labels
    try:
        return LabelTree.parse(parse_json_of(path, listed.read(LAYOUT.labels) or b""))
    except DataError as problem:
        raise BundleError(f"{path} is damaged: {problem}") from problem


def _refuse_other_weights(listed: Listed, weights: Sequence[str]) -> None:
    """Refuse files that would change what the libraries load from a folder of weights.

    Beside a base they follow, for example, an adapter's configuration to another base.
    """
    for name in listed.files:
        if "/" in name and name not in weights:
            raise BundleError(
                f"{listed.folder}: the manifest lists {name}, which is no file of this kind of "
                f"bundle; in its folders are only {', '.join(x for x in weights if '/' in x)}."
            )
