"""Writing a bundle: whole or not at all, manifest last. Knows no report and no training."""

from collections.abc import Callable
from pathlib import Path

from patclass.bundle.description import LAYOUT, Description, Lineage
from patclass.bundle.golden import make_golden
from patclass.bundle.manifest import write_manifest
from patclass.core.files import atomic_folder, write_json
from patclass.predictor.pipeline import Pipeline

Write = Callable[[Path], object]


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
