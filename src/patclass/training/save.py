"""A trained model as a bundle: weights, components, description, report and card."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from patclass import __version__
from patclass.bundle import write_bundle
from patclass.bundle.description import (
    LAYOUT,
    BaseInfo,
    DataInfo,
    Description,
    Lineage,
    RunSettings,
    TextInfo,
)
from patclass.core.files import write_json
from patclass.core.settings import TrainSettings
from patclass.data.examples import SPLITS, Corpus, Example
from patclass.data.language import languages_of
from patclass.evaluation.charts import confusion_cells, confusion_matrix, write_png
from patclass.evaluation.cross_validation import FewShotReport
from patclass.evaluation.pages import html_report, model_card
from patclass.evaluation.report import Report
from patclass.model.adapter import save_adapter
from patclass.model.network import Parts, PatentClassifier
from patclass.model.packing import PACKED
from patclass.predictor.pipeline import Pipeline

# How adapter and head are stored in a bundle that carries its base; round them before measuring.
COMPACT = torch.float16

# Training texts of which the language is told.
_LANGUAGE_TEXTS = 2000


@dataclass(frozen=True)
class TrainedModel:
    """What a run has made.

    :param model: as it was trained; ``pipeline`` may answer with its adapter merged.
    :param curve: file with the loss of every step; None where there was none.
    :param packed_base: folder of a packed base that travels inside the bundle, which is then kept
        small: adapter and head in float16, no report page and no curve.
    :param lineage: what it was retrained from, if it was.
    :param few_shot: how it was learnt from few examples, if it was.
    """

    pipeline: Pipeline
    model: PatentClassifier
    description: Description
    report: Report | None
    curve: Path | None
    packed_base: Path | None = None
    lineage: Lineage | None = None
    few_shot: FewShotReport | None = None


def save_trained(
    target: Path, trained: TrainedModel, check: Callable[[Path], object] = lambda folder: None
) -> None:
    """Write ``trained`` as the bundle ``target``.

    :param check: called with the finished folder before it takes its place.
    :raises OutputError: if the disk is full or the place cannot be written.
    """
    write_bundle(
        target,
        trained.pipeline,
        trained.description,
        write_engine=lambda folder: _write_weights(folder, trained),
        write_documents=lambda folder: _write_documents(folder, trained),
        lineage=trained.lineage,
        check=check,
    )


def _write_weights(folder: Path, trained: TrainedModel) -> None:
    base = trained.packed_base
    dtype = torch.float32 if base is None else COMPACT
    save_adapter(trained.model.backbone, folder / LAYOUT.adapter, dtype)
    trained.model.save_head(folder, dtype)
    if base is not None:
        (folder / LAYOUT.base).mkdir()
        for name in ("config.json", PACKED):  # the tokenizer is the bundle's own
            shutil.copyfile(base / name, folder / LAYOUT.base / name)


def _write_documents(folder: Path, trained: TrainedModel) -> None:
    report, compact = trained.report, trained.packed_base is not None
    if not compact and trained.curve is not None:
        shutil.copyfile(trained.curve, folder / LAYOUT.curve)
    if trained.few_shot is not None:
        write_json(folder / LAYOUT.few_shot, trained.few_shot.model_dump(mode="json"))
    if report is not None:
        write_json(folder / LAYOUT.report, report.model_dump(mode="json"))
        metrics = report.levels[report.level].metrics
        title = f"{report.split}, {metrics.rows} rows"
        codes = [each.code for each in metrics.per_class]
        matrix = confusion_matrix(confusion_cells(codes, metrics.confusion))
        write_png(matrix, title, folder / LAYOUT.confusion)
        if not compact:
            page = html_report(report, title, {})
            (folder / LAYOUT.report_page).write_text(page, encoding="utf-8")
    card = model_card(trained.description, trained.pipeline.tree, report)
    (folder / LAYOUT.card).write_text(card, encoding="utf-8")


def _sample_of(rows: Sequence[Example]) -> Iterator[str]:
    """The texts of rows from all over the data, enough of them to tell their languages."""
    return (row.text for row in rows[:: len(rows) // _LANGUAGE_TEXTS + 1])


def describe(
    settings: TrainSettings, parts: Parts, corpus: Corpus, interrupted: bool
) -> Description:
    """What ``bundle.json`` says of a run."""
    base, traits = parts.base, parts.architecture
    return Description(
        patclass=__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
        base=BaseInfo(
            name=base.name,
            revision=base.revision,
            sha256=base.sha256,
            model_type=traits.model_type,
            embedded=settings.answer.embed_base,
        ),
        pooling=traits.pooling.value,
        precision=parts.compute.precision,
        text=TextInfo(
            view=str(corpus.view),
            max_tokens=settings.base.max_tokens,
            truncation=settings.answer.truncation,
        ),
        labels=corpus.tree.outputs,
        data=DataInfo(
            source=settings.data.data_name or corpus.source,
            fingerprint=corpus.fingerprint(),
            rows={split: len(corpus[split]) for split in SPLITS},
            rejects=corpus.reject_counts,
            languages=languages_of(_sample_of(corpus["train"])),
        ),
        interrupted=interrupted,
        settings=RunSettings(
            data=settings.data,
            base=settings.base,
            lora=settings.lora,
            fit=settings.fit,
            answer=settings.answer,
            few=settings.few,
        ),
    )
