"""How a bundle's model is computed, and the proof that it still answers alike. Knows types only.

A bundle as it was trained has no such record: it is an adapter for a base.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["openvino", "merged", "cuda"]

# Above this confidence the original is sure.
SURE = 0.6


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LevelParity(_Frozen):
    """The answers at one level beside those of the model that was exported.

    ``agreement`` is the share of texts with the same label, ``sure_agreement`` that among
    texts where the original's confidence is above 0.6 (``sure`` of them). ``f1_loss`` and
    ``ece_rise`` are fractions, on the ``labelled`` texts; None where no label is known.
    """

    agreement: float
    sure_agreement: float
    sure: int
    labelled: int
    f1_loss: float | None
    ece_rise: float | None


class Parity(_Frozen):
    """What was compared on how many texts, and what came out, by level.

    ``tag_agreement`` is the share of tags that are given or not given alike; 1 without any.
    """

    texts: int
    source: str
    largest_logit_difference: float
    levels: dict[str, LevelParity]
    tag_agreement: float


class EngineInfo(_Frozen):
    """The engine of an exported bundle.

    ``weights`` is the way they are stored; ``made_from`` the SHA-256 of the manifest of the
    bundle that was exported; ``refused`` says which ways were tried before, and why not taken.
    """

    kind: Kind
    weights: str
    made_from: str
    parity: Parity
    refused: tuple[str, ...] = ()


def text_of(parity: Parity) -> str:
    """A table for the terminal and the model card."""
    lines = [
        f"{parity.texts:,} texts of {parity.source}; largest difference of a logit "
        f"{parity.largest_logit_difference:.2g}",
        f"{'level':10} {'alike':>7} {f'above {SURE:g}':>10} {'macro F1':>9} {'ECE':>7}",
    ]
    for level, at in parity.levels.items():
        f1 = "" if at.f1_loss is None else f"{-at.f1_loss * 100:+z.2f}"
        ece = "" if at.ece_rise is None else f"{at.ece_rise * 100:+z.2f}"
        lines.append(f"{level:10} {at.agreement:7.1%} {at.sure_agreement:10.1%} {f1:>9} {ece:>7}")
    return "\n".join(lines)
