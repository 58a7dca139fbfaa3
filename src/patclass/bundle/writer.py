"""Writing a bundle: whole or not at all, manifest last."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from patclass.bundle.card import model_card
from patclass.bundle.golden import GOLDEN_TEXTS, make_golden
from patclass.bundle.layout import LAYOUT, Description
from patclass.bundle.manifest import write_manifest
from patclass.evaluation.plots import confusion_picture
from patclass.evaluation.report import Report
from patclass.files import whole_folder, write_json
from patclass.labels import LabelSet
from patclass.model.adapter import save_adapter
from patclass.model.classifier import PatentClassifier
from patclass.model.scoring import score
from patclass.model.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Content:
    """All that goes into a bundle."""

    model: PatentClassifier
    tokenizer: TextTokenizer
    labels: LabelSet
    description: Description
    report: Report | None
    curve: Path


def write_bundle(
    target: Path, content: Content, check: Callable[[Path], object] = lambda folder: None
) -> None:
    """Write ``content`` as the folder ``target``.

    :param check: called with the finished folder before it takes its place; what it raises
        keeps the bundle from appearing.
    :raises OutputError: if the disk is full or the place cannot be written.
    """
    logits = score(content.model, content.tokenizer, GOLDEN_TEXTS)
    golden = make_golden(logits, content.labels.codes, content.description.precision)
    with whole_folder(target, LAYOUT.manifest) as folder:
        save_adapter(content.model.backbone, folder / LAYOUT.adapter)
        content.model.save_head(folder)
        content.tokenizer.save(folder)
        write_json(folder / LAYOUT.labels, [asdict(label) for label in content.labels])
        write_json(folder / LAYOUT.description, content.description.model_dump())
        write_json(folder / LAYOUT.golden, golden.model_dump())
        shutil.copyfile(content.curve, folder / LAYOUT.curve)
        if content.report is not None:
            write_json(folder / LAYOUT.report, content.report.model_dump())
            title = f"{content.report.split}, {content.report.model.rows} rows"
            confusion_picture(content.report.model, title, folder / LAYOUT.confusion)
        card = model_card(content.description, content.labels, content.report)
        (folder / LAYOUT.card).write_text(card, encoding="utf-8")
        write_manifest(folder)
        check(folder)
