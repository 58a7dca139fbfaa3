"""How a bundle's model is computed, and the proof that it still answers alike. Knows types only.

A bundle as it was trained has no such record: it is an adapter for a base.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["openvino", "merged", "cuda"]


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
    """What was compared on how many texts, and what came out, by level."""

    texts: int
    source: str
    largest_logit_difference: float
    levels: dict[str, LevelParity]


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
