"""Soft labels for distillation: what a finished model says of the training texts.

A student learns from a teacher's probabilities beside the labels (Hinton et al. 2015,
arXiv:1503.02531). A large teacher needs hours for them, so they are stored beside it in parts: an
interrupted run goes on where it was, and every student of the same texts shares them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import locate
from patclass.core.errors import TrainingError, cannot_write
from patclass.core.files import atomic_write
from patclass.core.progress import progress
from patclass.cpc.tree import LabelTree

# Texts of a part: what an interrupted run loses at most.
PART = 1000

SoftLabels = npt.NDArray[np.float16]


def read_teacher(name: str, tree: LabelTree) -> Bundle:
    """The bundle of a teacher.

    :raises BundleError: if it is damaged.
    :raises TrainingError: if it has other labels than ``tree``.
    """
    teacher = read_bundle(locate(name))
    other = set(teacher.tree.paths) ^ set(tree.paths)
    if other:
        raise TrainingError(
            f"teacher {name}: it and the data do not have the same labels ({len(other)} differ, "
            f"such as {'/'.join(min(other))}); train both on the same rows with the same labels.",
            setting="teacher",
        )
    return teacher


def soft_labels(teacher: Bundle, texts: Sequence[str], tree: LabelTree, device: str) -> SoftLabels:
    """The teacher's probabilities of the leaves of ``tree``, shape (texts, leaves).

    :raises OutputError: if they cannot be stored.
    """
    folder = _folder(teacher, texts)
    starts = range(0, len(texts), PART)
    missing = [start for start in starts if not _part(folder, start).is_file()]
    if missing:
        _compute(teacher, texts, folder, missing, device)
    there = {path: place for place, path in enumerate(teacher.tree.paths)}
    columns = [there[path] for path in tree.paths]
    return np.concatenate([np.load(_part(folder, start))[:, columns] for start in starts])


def _compute(
    teacher: Bundle, texts: Sequence[str], folder: Path, missing: Sequence[int], device: str
) -> None:
    pipeline = teacher.load_pipeline(device)
    count = sum(len(texts[start : start + PART]) for start in missing)
    with progress("teacher", count) as bar:
        for start in missing:
            leaves = pipeline.run(texts[start : start + PART], bar.update).leaves
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with atomic_write(_part(folder, start)) as partial, partial.open("wb") as file:
                    np.save(file, leaves.astype(np.float16), allow_pickle=False)
            except OSError as problem:
                raise cannot_write(folder, problem) from problem


def _folder(teacher: Bundle, texts: Sequence[str]) -> Path:
    """Beside the teacher, by its weights and the texts."""
    digest = hashlib.sha256(teacher.sha256.encode())
    for text in texts:
        digest.update(len(text).to_bytes(8, "big") + text.encode())
    home = teacher.folder.resolve()
    return home.with_name(f"{home.name}.soft_labels") / digest.hexdigest()[:16]


def _part(folder: Path, start: int) -> Path:
    return folder / f"{start:08}.npy"
