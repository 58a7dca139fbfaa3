"""Proof that a bundle answers as it did: fixed texts with their logits."""

from collections.abc import Sequence

import numpy as np

from patclass.arrays import FloatArray
from patclass.bundle.layout import Golden
from patclass.errors import BundleError

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

# Another processor adds in another order; bfloat16 keeps eight bits of each factor.
TOLERANCES = {"float32": 1e-3, "bfloat16": 0.25}


def make_golden(logits: FloatArray, codes: Sequence[str], precision: str) -> Golden:
    """Record ``logits`` of the golden texts, shape (texts, labels)."""
    return Golden(
        codes=tuple(codes),
        tolerance=TOLERANCES[precision],
        texts=GOLDEN_TEXTS,
        logits=tuple(tuple(round(float(v), 6) for v in row) for row in logits),
    )


def check_golden(golden: Golden, logits: FloatArray, where: object) -> float:
    """Compare logits with the record; return the largest difference.

    :raises BundleError: if it exceeds the tolerance, naming the text.
    """
    saved = np.asarray(golden.logits, dtype=np.float32)
    if saved.shape != logits.shape:
        raise BundleError(f"{where}: golden logits have shape {saved.shape}, not {logits.shape}.")
    difference = np.abs(logits - saved).max(axis=1)
    # A NaN compares as neither larger nor smaller; it must not pass for equal.
    wrong = np.flatnonzero(~(difference <= golden.tolerance))
    if len(wrong):
        text = golden.texts[int(wrong[0])]
        raise BundleError(
            f"{where} does not answer as it did when it was saved: logits differ by "
            f"{difference[wrong[0]]:.2g} (allowed {golden.tolerance:g}) on '{text[:50]}'. "
            "Do not use it; train anew."
        )
    return float(difference.max())
