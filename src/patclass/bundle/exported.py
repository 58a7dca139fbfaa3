"""Writing an exported bundle: its engine is new, all else comes from the bundle it is made of."""

import shutil
from collections.abc import Callable
from pathlib import Path

from patclass.bundle.bundle import Bundle
from patclass.bundle.card import model_card
from patclass.bundle.description import LAYOUT, Description
from patclass.bundle.golden import make_golden
from patclass.bundle.manifest import write_manifest
from patclass.bundle.writer import conformal_bytes, label_info
from patclass.core.errors import BundleError
from patclass.core.files import atomic_folder, file_sha256, write_json
from patclass.evaluation.report import Report
from patclass.predictor.pipeline import Pipeline

# What an engine does not change. The report is that of the original; parity says how near.
_KEPT = (
    LAYOUT.tokenizer,
    LAYOUT.linear,
    LAYOUT.neighbours,
    LAYOUT.reference,
    LAYOUT.lineage,
    LAYOUT.report,
    LAYOUT.confusion,
)


def write_exported(
    target: Path,
    source: Bundle,
    description: Description,
    pipeline: Pipeline,
    write_engine: Callable[[Path], object],
    check: Callable[[Path], object],
) -> None:
    """Write the folder ``target``.

    :param pipeline: what answers with the new engine.
    :param write_engine: called with the folder, puts the engine's files there.
    :param check: called with the finished folder; what it raises keeps it from appearing.
    :raises OutputError: if the disk is full or the place cannot be written.
    """
    golden = make_golden(pipeline, description.arithmetic)
    with atomic_folder(target, LAYOUT.manifest) as folder:
        kept = _KEPT if source.version > 1 else _KEPT[:4]  # its report has another form
        for name in kept:
            if (source.folder / name).is_file():
                shutil.copyfile(source.folder / name, folder / name)
        # Written anew, because those of old bundles have another form.
        write_json(folder / LAYOUT.labels, label_info(source.tree).model_dump())
        write_json(folder / LAYOUT.calibration, source.calibration.model_dump())
        (folder / LAYOUT.conformal).write_bytes(conformal_bytes(source.conformal))
        write_engine(folder)
        write_json(folder / LAYOUT.description, description.model_dump())
        write_json(folder / LAYOUT.golden, golden.model_dump())
        card = model_card(description, source.tree, _report(source))
        (folder / LAYOUT.card).write_text(card, encoding="utf-8")
        write_manifest(folder)
        check(folder)


def fingerprint(bundle: Bundle) -> str:
    """What tells a bundle from every other one: the hash over the hashes of its files."""
    return file_sha256(bundle.folder / LAYOUT.manifest, BundleError)


def _report(source: Bundle) -> Report | None:
    path = source.folder / LAYOUT.report
    if source.version == 1 or not path.is_file():
        return None
    return Report.model_validate_json(path.read_text(encoding="utf-8"))
