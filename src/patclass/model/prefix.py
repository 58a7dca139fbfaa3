"""The frozen layers below the lowest adapter: what they make of a text never changes.

Knows the stack of layers of a backbone, no data and no file.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from patclass.model.layer_stack import layers_of, replaced_forwards
from patclass.model.network import Batch, PatentClassifier


class Prefix:
    """The lower layers of a classifier that is being trained.

    All else that a layer gets, such as masks and positions, is computed by the library anew for
    each batch; only the states between two layers are taken from what was computed before.
    """

    def __init__(self, model: PatentClassifier, depth: int) -> None:
        """:param depth: number of layers, from the first one."""
        self._model = model
        layers = layers_of(model.base)
        self._lower, self._upper = layers[:depth], layers[depth:]
        self._beside: int | None = None  # what a layer gives beside its states, if that is a tuple
        self.device = model.device
        sample = self.compute(
            Batch(torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1, dtype=torch.long))
        )
        self.dtype, self.hidden = sample.dtype, sample.shape[-1]

    @classmethod
    def of(cls, model: PatentClassifier) -> "Prefix | None":
        """The layers below the first that has a weight to train; None if it is the first."""
        layers = layers_of(model.base)
        trained = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
        depth = trained.index(True)
        return cls(model, depth) if depth else None

    def __len__(self) -> int:
        return len(self._lower)

    @torch.no_grad()
    def compute(self, batch: Batch) -> torch.Tensor:
        """States behind the lower layers, shape (rows, tokens, hidden); autocast applies."""
        found: list[torch.Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            self._beside = len(output) - 1 if isinstance(output, tuple) else None
            found.append(output if self._beside is None else output[0])

        hook = self._lower[-1].register_forward_hook(keep)
        try:
            with replaced_forwards(dict.fromkeys(self._upper, self._pass)):
                self._model.embed(batch.to(self._model.device))
        finally:
            hook.remove()
        return found[0]

    @contextmanager
    def given(self, states: torch.Tensor) -> Iterator[None]:
        """Have the model begin with states that ``compute`` gave for the same batch."""

        def give(*_: Any, **__: Any) -> Any:
            return self._pass(states)

        with replaced_forwards(
            dict.fromkeys(self._lower[:-1], self._pass) | {self._lower[-1]: give}
        ):
            yield

    def given_rows(self, rows: Sequence[torch.Tensor]) -> AbstractContextManager[None]:
        """As ``given``, with the states of each text alone, of shape (tokens, hidden)."""
        states = pad_sequence([row.to(self.device, self.dtype) for row in rows], batch_first=True)
        return self.given(states)

    def _pass(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        if self._beside is None:
            return hidden_states
        return (hidden_states, *[None] * self._beside)
