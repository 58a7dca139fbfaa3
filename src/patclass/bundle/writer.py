"""Writing a bundle: whole or not at all, manifest last."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from patclass.bundle.card import model_card
from patclass.bundle.description import LAYOUT, CalibrationInfo, Description, LabelInfo, Lineage
from patclass.bundle.golden import make_golden
from patclass.bundle.manifest import write_manifest
from patclass.core.files import atomic_folder, write_json
from patclass.cpc.tree import LabelTree
from patclass.evaluation.html import confusion_picture, html_report
from patclass.evaluation.report import Report
from patclass.model.adapter import save_adapter
from patclass.model.classifier import PatentClassifier
from patclass.model.packing import PACKED
from patclass.predictor.calibration import PRECISION
from patclass.predictor.conformal import Conformal
from patclass.predictor.neighbours import Index
from patclass.predictor.pipeline import Pipeline
from patclass.predictor.reference import Reference

# How the adapter is stored in a bundle that carries its base; round it before measuring.
COMPACT_ADAPTER = torch.float16


@dataclass(frozen=True)
class Content:
    """All that goes into a bundle.

    :param model: what was trained; the pipeline may answer with its adapter merged.
    :param thresholds: for each level the confidence from which on it answers by itself.
    :param base: the folder of a packed base that is to travel inside the bundle, which is then
        kept small: the adapter in float16, without page and curve.
    :param lineage: what it comes from, if it was retrained.
    """

    pipeline: Pipeline
    model: PatentClassifier
    thresholds: Mapping[str, float]
    conformal: Mapping[str, Conformal]
    index: Index | None
    reference: Reference
    description: Description
    report: Report | None
    curve: Path
    base: Path | None = None
    lineage: Lineage | None = None


def write_bundle(
    target: Path, content: Content, check: Callable[[Path], object] = lambda folder: None
) -> None:
    """Write ``content`` as the folder ``target``.

    :param check: called with the finished folder before it takes its place; what it raises
        keeps the bundle from appearing.
    :raises OutputError: if the disk is full or the place cannot be written.
    """
    golden = make_golden(content.pipeline, content.description.arithmetic)
    with atomic_folder(target, LAYOUT.manifest) as folder:
        _write_model(folder, content)
        write_json(folder / LAYOUT.description, content.description.model_dump())
        write_json(folder / LAYOUT.golden, golden.model_dump())
        if content.base is None:
            shutil.copyfile(content.curve, folder / LAYOUT.curve)
        if content.lineage is not None:
            write_json(folder / LAYOUT.lineage, content.lineage.model_dump())
        if content.report is not None:
            _write_report(folder, content.report, page=content.base is None)
        card = model_card(content.description, content.pipeline.tree, content.report)
        (folder / LAYOUT.card).write_text(card, encoding="utf-8")
        write_manifest(folder)
        check(folder)


def _write_model(folder: Path, content: Content) -> None:
    pipeline = content.pipeline
    dtype = torch.float32 if content.base is None else COMPACT_ADAPTER
    save_adapter(content.model.backbone, folder / LAYOUT.adapter, dtype)
    content.model.save_head(folder)
    pipeline.tokenizer.save(folder)
    write_json(folder / LAYOUT.labels, label_info(pipeline.tree).model_dump())
    write_json(folder / LAYOUT.calibration, _calibration_info(content).model_dump())
    (folder / LAYOUT.conformal).write_bytes(conformal_bytes(content.conformal))
    if pipeline.linear is not None:
        pipeline.linear.save(folder)
    if content.index is not None:
        content.index.save(folder)
    content.reference.save(folder)
    if content.base is not None:
        (folder / LAYOUT.base).mkdir()
        for name in ("config.json", PACKED):  # the tokenizer is the bundle's own
            shutil.copyfile(content.base / name, folder / LAYOUT.base / name)


def label_info(tree: LabelTree) -> LabelInfo:
    """The tree as ``labels.json`` has it."""
    names = dict(tree.names) | {tag.code: tag.name for tag in tree.tags}
    return LabelInfo(levels=tree.levels, paths=tree.paths, names=names, tags=tuple(tree.tags.codes))


def _calibration_info(content: Content) -> CalibrationInfo:
    calibration = content.pipeline.calibration
    return CalibrationInfo(
        inverse_temperatures=calibration.inverse_temperatures,
        smoothing=calibration.smoothing,
        linear_weight=calibration.linear_weight,
        precision=PRECISION,
        thresholds=dict(content.thresholds),
    )


def conformal_bytes(conformal: Mapping[str, Conformal]) -> bytes:
    """The scores and labels of every level as ``conformal.safetensors`` has them."""
    arrays = {}
    for level, found in conformal.items():
        arrays[f"{level}/scores"] = found.scores.astype(np.float32)
        arrays[f"{level}/labels"] = found.labels.astype(np.int64)
    return save(arrays)


def _write_report(folder: Path, report: Report, page: bool) -> None:
    write_json(folder / LAYOUT.report, report.model_dump(mode="json"))
    metrics = report.levels[report.level].metrics
    title = f"{report.split}, {metrics.rows} rows"
    confusion_picture(metrics, title, folder / LAYOUT.confusion)
    if page:
        (folder / LAYOUT.page).write_text(html_report(report, title, {}), encoding="utf-8")
