"""Tiny bundles exported once for all tests of this folder."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
import openvino as ov
import pytest

from conftest import patent_rows
from helpers import verified_here
from patclass.bundle import Bundle, read_bundle
from patclass.bundle.description import EngineInfo
from patclass.data.corpus import load_corpus
from patclass.engines.torch import TorchEngine
from patclass.export import run as run_module
from patclass.export.openvino import FLOAT, INT8, to_graph
from patclass.export.parity import Limits
from patclass.export.run import Form
from patclass.inference import Classifier, load
from patclass.model.network import PatentClassifier, merged
from patclass.model.tokenizer import TextTokenizer
from tiny_parts import (
    eight_bit_weights_problem,
    one_step,
    tiny_batch,
    tiny_classifier,
)

# The number of the tiny bundles' own validation and test rows.
TEXTS = 40

# One text of forty exceeds the real limits, and which one depends on the processor.
LENIENT = Limits(0.8, 0.8, 0.5, 0.2, 0.2, 1e6)

KINDS = ("bundle", "tree_bundle")


@dataclass(frozen=True)
class Exported:
    """An exported bundle, its original, and the messages of the export."""

    source: Path
    folder: Path
    form: Form
    info: EngineInfo
    messages: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """In float32: as asked for, or as this processor computes nothing faster."""
        return self.info.weights == "float32"

    @cached_property
    def original(self) -> Classifier:
        return load(self.source, "cpu")

    @cached_property
    def classifier(self) -> Classifier:
        return load(self.folder, "cpu")


TinyExport = Callable[..., Exported]


@pytest.fixture(scope="session")
def tiny_export() -> TinyExport:
    """Export silently, verify in this process, and convert the network of a bundle once."""
    graphs: dict[Path, ov.Model] = {}

    def call(source: Path, form: Form, target: Path, texts: int = TEXTS) -> Exported:
        def converted(model: PatentClassifier) -> ov.Model:
            if source not in graphs:
                graphs[source] = to_graph(model)
            return graphs[source]

        opened, messages = read_bundle(source), []
        corpus = load_corpus(opened.description.data_settings(), opened.tree)
        with verified_here(), patch.object(run_module, "to_graph", converted):
            info = run_module.export(opened, form, target, corpus, messages.append, texts)
        return Exported(source, target, form, info, tuple(messages))

    return call


@pytest.fixture(scope="session")
def exports(
    request: pytest.FixtureRequest,
    tiny_export: TinyExport,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Form], Exported]:
    """A tiny bundle in an export format, created on first use."""
    made: dict[tuple[str, Form], Exported] = {}

    def get(kind: str, form: Form) -> Exported:
        if (kind, form) not in made:
            target = tmp_path_factory.mktemp("exported") / f"{kind}-{form}"
            with patch.object(run_module, "QUANTISED", LENIENT):
                made[kind, form] = tiny_export(request.getfixturevalue(kind), form, target)
        return made[kind, form]

    return get


@pytest.fixture(
    params=[(kind, form) for kind in KINDS for form in run_module.FORMS[:3]], ids="-".join
)
def each_export(request: pytest.FixtureRequest, exports: Callable[..., Exported]) -> Exported:
    """Every kind of bundle in every export format."""
    return exports(*request.param)


@pytest.fixture
def opened(bundle: Path) -> Bundle:
    """The flat tiny bundle."""
    return read_bundle(bundle)


@dataclass(frozen=True)
class Tuned:
    """A merged tiny model with its own rows of token ids."""

    model: PatentClassifier
    tokenizer: TextTokenizer
    rows: list[list[int]]

    @cached_property
    def graph(self) -> ov.Model:
        """Do not change it: clone it."""
        return to_graph(self.model)

    def logits(self) -> np.ndarray:
        return TorchEngine(self.model, self.tokenizer).run(self.rows).logits


def tuned(base: Path) -> Tuned:
    model, tokenizer = tiny_classifier(base), TextTokenizer.load(base, 64)
    one_step(model, tiny_batch(base))
    texts = [f"{row['title']}. {row['abstract']}" for row in patent_rows(24)]
    return Tuned(merged(model), tokenizer, tokenizer.token_ids([*texts, "Soil.", texts[0] * 5]))


@pytest.fixture(scope="session")
def tuned_bert(tiny_bert: Path) -> Tuned:
    return tuned(tiny_bert)


@pytest.fixture(scope="session")
def tuned_llama(tiny_llama: Path) -> Tuned:
    return tuned(tiny_llama)


@pytest.fixture(params=["tuned_bert", "tuned_llama"])
def tuned_base(request: pytest.FixtureRequest) -> Tuned:
    """Both kinds of base: encoder and decoder."""
    return request.getfixturevalue(request.param)


@dataclass(frozen=True)
class Fastest:
    """The scheme that an export in int8 becomes on this processor.

    :param refused: how the reasons begin why it is no faster one.
    """

    name: str
    refused: tuple[str, ...]


@pytest.fixture(scope="session")
def weights_problem(tuned_bert: Tuned) -> str:
    """Why weights of eight bits are not computed here; empty where they are."""
    return eight_bit_weights_problem(tuned_bert.graph, tuned_bert.tokenizer, tuned_bert.rows[0])


@pytest.fixture(scope="session")
def fastest(weights_problem: str) -> Fastest:
    """Asked of the processor, not of an export."""
    refused = []
    for scheme in (*INT8, FLOAT):
        lacking = scheme.lacking()
        if not lacking and not (weights_problem and scheme.name == "int8 weights"):
            return Fastest(scheme.name, tuple(refused))
        refused.append(f"{scheme.name}: {lacking or 'OpenVINO cannot compute'}")
    raise AssertionError("float32 is computed everywhere")


@pytest.fixture
def _eight_bit_weights(weights_problem: str) -> None:
    if weights_problem:
        pytest.skip(f"OpenVINO computes no eight-bit weights here: {weights_problem[:80]}")
