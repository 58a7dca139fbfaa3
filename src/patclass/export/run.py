"""Export of a bundle: the network in another form, compared with the original. Knows folders."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import openvino as ov
from transformers import PreTrainedModel

from patclass.bundle import Bundle, write_bundle
from patclass.bundle.description import LAYOUT, Description, EngineInfo, EngineKind, Parity, text_of
from patclass.bundle.golden import verify_in_fresh_process
from patclass.bundle.weights import load_weights
from patclass.core.errors import BundleError, DataError, ModelError, OutputError
from patclass.core.files import check_replaceable, check_writable, file_sha256, previous_of
from patclass.core.types import Echo
from patclass.data.examples import Corpus, Example
from patclass.engines.base import Engine, instruction_sets
from patclass.engines.openvino import GRAPH, OpenVinoEngine
from patclass.engines.torch import TorchEngine
from patclass.evaluation.pages import model_card
from patclass.evaluation.report import Report
from patclass.export.openvino import FLOAT, INT8, Scheme, calibration_set, to_graph
from patclass.export.parity import EXACT, QUANTISED, Limits, compare, objections
from patclass.model.base import BaseFiles
from patclass.model.device import choose_compute
from patclass.model.network import Parts, PatentClassifier, load_classifier
from patclass.model.packing import PACKED
from patclass.model.tokenizer import TextTokenizer
from patclass.predictor.pipeline import Pipeline, PipelineOutputs, run_with_progress

# So many are enough for the ranges of activations.
CALIBRATION_TEXTS = 300

# Two in a hundred is what may differ; on fewer texts that is too coarse a measure. More than
# twice as many only take time.
PARITY_TEXTS = 1000

# Which part of a text stands for another text, where there are too few: halves and thirds.
_PARTS = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


@dataclass(frozen=True)
class ExportTexts:
    """Texts to tune on, and other rows to judge by.

    :param source: in words, what the rows are.
    """

    calibration: list[str]
    rows: list[Example]
    source: str


def choose_texts(corpus: Corpus, wanted: int = PARITY_TEXTS) -> ExportTexts:
    """Tune on train; judge on validation and test, then on the rest of train, then on parts.

    :raises DataError: if all of it together is too little.
    """
    train = corpus["train"]
    chosen = _spread(len(train), min(CALIBRATION_TEXTS, max(1, len(train) // 2)))
    tuned = [train[place] for place in sorted(chosen)]
    rows = [*corpus["validation"], *corpus["test"]]
    words = "its validation and test rows"
    if len(rows) < wanted:
        rows += [row for place, row in enumerate(train) if place not in chosen]
        words = "all rows that did not tune it"
    rows = [rows[place] for place in sorted(_spread(len(rows), min(len(rows), 2 * wanted)))]
    whole = len(rows)
    if whole < wanted:
        rows = _with_parts(rows, wanted)
        words = f"{whole} rows and parts of them"
    if len(rows) < wanted:
        raise DataError(
            f"{corpus.source} gives {len(rows)} texts to compare on; {wanted:,} are needed. Name "
            "more patents with data; their labels may be missing.",
            setting="data",
        )
    return ExportTexts([row.text for row in tuned], rows, f"{corpus.source}: {words}")


def _spread(count: int, chosen: int) -> set[int]:
    """So many of ``count`` places, evenly: files are often sorted by something."""
    return {place * count // chosen for place in range(chosen)}


def _with_parts(rows: Sequence[Example], wanted: int) -> list[Example]:
    found = list(rows)
    for number, of in _PARTS:
        for row in rows:
            words = row.text.split()
            part = words[len(words) * number // of : len(words) * (number + 1) // of]
            if len(found) < wanted and part:
                found.append(replace(row, text=" ".join(part)))
    return found


# A base is one file as long as this holds more than it has.
_ONE_FILE = "1000GB"


def save_merged(model: PatentClassifier, folder: Path) -> None:
    """Write base and head as a bundle has them."""
    assert isinstance(model.backbone, PreTrainedModel)
    base = folder / LAYOUT.base
    model.backbone.save_pretrained(base, max_shard_size=_ONE_FILE)
    model.save_head(folder)


def load_merged(folder: Path, outputs: int) -> PatentClassifier:
    """Read back what ``save_merged`` has written, in float32.

    :raises ModelError: if it cannot be read.
    """
    parts = Parts(merged_base(folder), choose_compute("cpu", "float32"))
    return load_classifier(parts, None, folder, outputs)


def merged_base(folder: Path) -> BaseFiles:
    """The base in ``folder``, hashed."""
    base = folder / LAYOUT.base
    return BaseFiles(str(base), None, base, file_sha256(base / PACKED, ModelError), str(base))


Form = Literal["openvino-int8", "openvino-f32", "merged"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class _Option:
    """An engine that may be exported, its files, and what changes of the base with it."""

    kind: EngineKind
    weights: str
    engine: Engine
    write: Callable[[Path], object]
    limits: Limits
    base: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class _Original:
    """What is exported: a pipeline in float32, its outputs to compare with, and how fast it was."""

    pipeline: Pipeline
    model: PatentClassifier
    texts: ExportTexts
    outputs: PipelineOutputs
    seconds: float


def export(
    bundle: Bundle,
    form: Form,
    target: Path,
    corpus: Corpus,
    echo: Echo = lambda line: None,
    texts: int = PARITY_TEXTS,
) -> EngineInfo:
    """Write ``bundle`` as ``target`` in the form asked for, or in the next safer one.

    :param corpus: patents to tune on (its train rows) and to compare on (the others).
    :param texts: on how many texts to compare.
    :raises BundleError: if it was exported before, or the predictions of no form agree.
    :raises DataError: if the corpus is too small.
    """
    if bundle.description.engine is not None:
        raise BundleError(f"{bundle.folder} was exported before; export the one it was made from.")
    check_writable(target)
    check_replaceable(target, LAYOUT.manifest)
    if bundle.folder.resolve() in (target.resolve(), previous_of(target).resolve()):
        raise OutputError(f"{target} would take the place of the original; name another place.")
    original = _prepare(bundle, choose_texts(corpus, texts))
    refused: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".patclass-", dir=target.parent) as work:
        for name, make in _options(form, original, Path(work)):
            try:
                option = make()
                pipeline = replace(original.pipeline, engine=option.engine)
                parity, gain = _measure(original, pipeline, name)
                echo(f"{name}: {text_of(parity)}")
                reason = "; ".join(objections(parity, option.limits))
            except ModelError as problem:  # the processor cannot, or OpenVINO has no kernel
                reason = str(problem)
            if reason:
                refused.append(f"{name}: {reason}")
                echo(f"refused, {refused[-1]}")
                continue
            info = EngineInfo(
                kind=option.kind,
                weights=option.weights,
                made_from=bundle.sha256,
                parity=parity,
                refused=tuple(refused),
                exported_on=instruction_sets(),
            )
            reason = "as those before were refused" if refused else "as asked for"
            where = ", ".join(info.exported_on)
            echo(f"chosen: {name}, {reason}; {gain:.1f} times as fast as the original ({where})")
            description = _description(bundle, option, info)
            write_bundle(
                target,
                pipeline,
                description,
                write_engine=option.write,
                write_documents=partial(_write_documents, bundle, description),
                lineage=bundle.lineage,
                check=lambda folder: verify_in_fresh_process(folder, "auto"),
            )
            return info
    raise BundleError(f"{bundle.folder} was not exported: {' | '.join(refused)}")


def _prepare(bundle: Bundle, texts: ExportTexts) -> _Original:
    """Load in float32, whatever the bundle computes in: merging needs it."""
    exact = bundle.description.model_copy(update={"precision": "float32"})
    tokenizer = bundle.load_tokenizer()
    try:
        model = load_weights(bundle.folder, exact, bundle.tree.outputs, "cpu")
    except ModelError as problem:
        raise BundleError(f"{bundle.folder}: {problem}") from problem
    pipeline = bundle.pipeline_with(TorchEngine(model, tokenizer), tokenizer)
    outputs, seconds = _timed(pipeline, texts, "original")
    return _Original(pipeline, model, texts, outputs, seconds)


def _timed(pipeline: Pipeline, texts: ExportTexts, name: str) -> tuple[PipelineOutputs, float]:
    """Outputs for the rows to judge by, and the seconds that they took."""
    began = time.perf_counter()
    outputs = run_with_progress(pipeline, [row.text for row in texts.rows], name)
    return outputs, time.perf_counter() - began


def _description(bundle: Bundle, option: _Option, info: EngineInfo) -> Description:
    changed: dict[str, object] = {"engine": info}
    if option.base:
        base = bundle.description.base.model_copy(update=option.base)
        changed |= {"base": base, "precision": "float32"}
    return bundle.description.model_copy(update=changed)


def _options(
    form: Form, original: _Original, work: Path
) -> Iterator[tuple[str, Callable[[], _Option]]]:
    """What to try, by name, the form asked for first; each is made only when its turn comes."""
    if form == "merged":
        yield "float32", partial(_merged, original, work)
        return
    graph = to_graph(original.model)
    encodings = original.pipeline.encode(original.texts.calibration)
    rows = [encoding.passages[0].ids for encoding in encodings]
    schemes = (*INT8, FLOAT) if form == "openvino-int8" else (FLOAT,)
    for number, scheme in enumerate(schemes):
        folder = work / str(number)
        yield (
            scheme.name,
            partial(_stored, scheme, graph, rows, original.pipeline.tokenizer, folder),
        )


def _merged(original: _Original, work: Path) -> _Option:
    """One plain transformers model."""
    save_merged(original.model, work)
    model = load_merged(work, original.pipeline.tree.outputs)
    engine = TorchEngine(model, original.pipeline.tokenizer)

    def write(folder: Path) -> None:
        shutil.copytree(work / LAYOUT.base, folder / LAYOUT.base)
        shutil.copyfile(work / LAYOUT.head, folder / LAYOUT.head)

    base = {"sha256": merged_base(work).sha256, "revision": None, "embedded": True}
    return _Option("merged", "float32", engine, write, EXACT, base)


def _stored(
    scheme: Scheme,
    graph: ov.Model,
    rows: Sequence[Sequence[int]],
    tokenizer: TextTokenizer,
    work: Path,
) -> _Option:
    if lacking := scheme.lacking():
        raise ModelError(lacking)
    with redirect_stdout(sys.stderr):  # progress is not output
        model = scheme.make(graph.clone(), calibration_set(rows, tokenizer), len(rows))
    work.mkdir()
    ov.save_model(model, work / GRAPH, compress_to_fp16=False)
    exact = scheme is FLOAT
    engine = OpenVinoEngine.load(work, tokenizer, exact)

    def write(folder: Path) -> None:
        shutil.copytree(work, folder / LAYOUT.engine)

    return _Option("openvino", scheme.name, engine, write, EXACT if exact else QUANTISED)


def _measure(original: _Original, pipeline: Pipeline, name: str) -> tuple[Parity, float]:
    """How close it is to the original, and how many times as fast here."""
    texts = original.texts
    outputs, seconds = _timed(pipeline, texts, name)
    parity = compare(pipeline.tree, texts.rows, texts.source, original.outputs, outputs)
    return parity, original.seconds / seconds


def _write_documents(source: Bundle, description: Description, folder: Path) -> None:
    """The report is that of the original; the parity record in the card says how close it is."""
    for name in (LAYOUT.report, LAYOUT.few_shot, LAYOUT.confusion):
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, folder / name)
    path = folder / LAYOUT.report
    report = Report.model_validate_json(path.read_bytes()) if path.is_file() else None
    card = model_card(description, source.tree, report)
    (folder / LAYOUT.card).write_text(card, encoding="utf-8")
