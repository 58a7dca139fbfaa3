"""What computes: token ids in, pooled states and logits out. Knows no text and no labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from patclass.arrays import FloatArray

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Outputs:
    """What a model makes of rows: pooled states (rows, hidden), logits (rows, outputs)."""

    states: FloatArray
    logits: FloatArray


class Engine(Protocol):
    """A model that is ready to answer; several threads may ask it at once."""

    def run(self, rows: Sequence[Sequence[int]], advance: Advance = lambda rows: None) -> Outputs:
        """States and logits of rows of token ids, in order, both float32.

        :param advance: called with the number of rows after each batch, for progress bars.
        """
