"""Proof that a bundle answers as it did when it was saved, here or in a fresh process."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from patclass.bundle.description import Golden
from patclass.core.errors import BundleError, ModelError
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree
from patclass.predictor.pipeline import Pipeline

# Fixed texts rather than rows of the data: a bundle must not carry its owner's texts. They
# span one word to longer than any limit, other scripts, and three technical fields.
GOLDEN_TEXTS = (
    "Bearing.",
    "A hand tool for loosening rusted bolts comprises a ratchet head, a hollow handle that "
    "stores a penetrating oil, and a valve which meters a drop of the oil onto the thread.",
    "Method of preparing a sulfonamide inhibitor in which an aryl chloride is coupled with a "
    "secondary amine at 80 °C over a palladium catalyst, followed by crystallisation.",
    "A base station allocates uplink resource blocks to user equipment according to buffer "
    "status reports and the measured interference of neighbouring cells.",
    "Ein Verfahren zur Herstellung von Papier mit einer erhöhten Nassfestigkeit.",
    "半導体装置とその製造方法。",
    "0123456789 +-*/=()[]{}%&§ 3.14 x 10^-9",
    " ".join(["The loom has a shedding device driven by a servo motor."] * 60),
)

# Another processor adds in another order; bfloat16 keeps eight bits of each factor, and what is
# rounded to int8 may fall to either side.
TOLERANCES = {"float32": 1e-3, "bfloat16": 0.25, "int8": 0.5}


def make_golden(pipeline: Pipeline, arithmetic: str) -> Golden:
    """Record what ``pipeline`` makes of the golden texts."""
    logits, probabilities = _answer(pipeline, GOLDEN_TEXTS)
    return Golden(
        codes=pipeline.tree.output_codes,
        tolerance=TOLERANCES[arithmetic],
        texts=GOLDEN_TEXTS,
        logits=_rounded(logits),
        probabilities=_rounded(probabilities),
    )


def check_recorded(golden: Golden, tree: LabelTree, arithmetic: str, where: object) -> None:
    """Refuse recorded answers that could not detect anything.

    :param arithmetic: in what the bundle computes.
    :raises BundleError: if they allow any difference, or are not of every text and label.
    """
    most = TOLERANCES[arithmetic]
    if golden.tolerance > most:
        raise BundleError(
            f"{where} is damaged at 'tolerance': {golden.tolerance:g} would let other answers "
            f"pass; for {arithmetic} it is at most {most:g}."
        )
    labels = {"logits": tree.outputs, "probabilities": len(tree.at(tree.levels[0]))}
    for what, expected in labels.items():
        widths = [len(row) for row in getattr(golden, what)]
        if widths != [expected] * len(golden.texts):
            raise BundleError(
                f"{where} is damaged at '{what}': expected {expected} numbers for each of "
                f"{len(golden.texts)} texts."
            )


REMEDY = "Do not use it; train it again."


def check_golden(golden: Golden, pipeline: Pipeline, where: object, remedy: str = REMEDY) -> float:
    """Answer the recorded texts again; return the largest difference of a logit.

    :param remedy: what to do if the answers differ.
    :raises BundleError: if a difference exceeds the tolerance, naming the text.
    """
    try:
        logits, probabilities = _answer(pipeline, golden.texts)
    except ModelError as problem:
        raise BundleError(f"{where}: {problem}") from problem
    _compare(golden, golden.probabilities, probabilities, f"{where}", "probabilities", remedy)
    return _compare(golden, golden.logits, logits, f"{where}", "logits", remedy)


def _answer(pipeline: Pipeline, texts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    outputs = pipeline.run(texts)
    return outputs.logits, pipeline.tree.sums(outputs.leaves, pipeline.tree.levels[0])


def _compare(
    golden: Golden,
    recorded: tuple[tuple[float, ...], ...],
    found: FloatArray,
    where: str,
    what: str,
    remedy: str,
) -> float:
    saved = np.asarray(recorded, dtype=np.float32)
    if saved.shape != found.shape:
        raise BundleError(f"{where}: golden {what} have shape {saved.shape}, not {found.shape}.")
    difference = np.abs(found - saved).max(axis=1)
    # A NaN compares as neither larger nor smaller; it must not pass for equal.
    wrong = np.flatnonzero(~(difference <= golden.tolerance))
    if len(wrong):
        text = golden.texts[int(wrong[0])]
        raise BundleError(
            f"{where} does not answer as it did when it was saved: {what} differ by "
            f"{difference[wrong[0]]:.2g} (allowed {golden.tolerance:g}) on '{text[:50]}'. "
            f"{remedy}"
        )
    return float(difference.max())


def _rounded(values: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), 6) for value in row) for row in values)


def verify_in_fresh_process(folder: Path, device: str) -> None:
    """Reload a bundle in a new process and compare its golden logits.

    :raises BundleError: with the error of that process.
    """
    # The package may run from a source folder that only this process knows of.
    here = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH")) if part)
    done = subprocess.run(
        [sys.executable, "-m", "patclass", "verify", str(folder), "--device", device],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise BundleError(
            f"the bundle was not saved, because a fresh process could not reproduce it: "
            f"{lines[-1] if lines else f'exit code {done.returncode}'}"
        )
