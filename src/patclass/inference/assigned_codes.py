"""All codes of a patent, as an answer has them. Knows a tree and its probabilities, no texts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree, Path


@dataclass(frozen=True)
class AssignedCode:
    """One of all codes of a patent, with its title and the probability that the patent carries it.

    :param precision: the largest precision for which it would be among the codes; None if the
        bundle knows no precision.
    :param role: ``main`` for the prediction and its ancestors, ``additional`` for all others.
    """

    code: str
    title: str
    level: str
    probability: float
    precision: float | None
    role: Literal["main", "additional"]


def assigned_codes(
    tree: LabelTree,
    probabilities: FloatArray,
    precisions: npt.NDArray[np.float64] | None,
    thresholds: FloatArray,
    main: Path,
    confidences: tuple[float, ...],
) -> tuple[AssignedCode, ...]:
    """The codes whose probability reaches their threshold, their ancestors, and the main path.

    The coarsest level comes first, and of a level the most probable.

    :param probabilities: of the nodes, as ``precisions`` and ``thresholds``, shape (nodes,).
    :param confidences: the probabilities of the codes of ``main`` as main codes.
    """
    given = [tree.nodes[node] for node in np.flatnonzero(probabilities >= thresholds)]
    known = [
        _assigned(
            tree,
            tree.nodes[node],
            float(probabilities[node]),
            None if precisions is None else float(precisions[node]),
            main,
        )
        for node in tree.nodes_on([*given, main])
    ]
    found = [*known, *_unlisted(tree, probabilities, main, confidences)]
    return tuple(sorted(found, key=lambda code: (tree.levels.index(code.level), -code.probability)))


def _unlisted(
    tree: LabelTree, probabilities: FloatArray, main: Path, confidences: tuple[float, ...]
) -> Iterator[AssignedCode]:
    """Codes of the main path that are no node, as too few lists of the training rows had them.

    Each has its probability as the main code, but no more than the code above it.
    """
    above = 1.0
    for depth, confidence in enumerate(confidences, 1):
        nodes = tree.nodes_at([main[:depth]])
        above = min(above, float(probabilities[nodes[0]]) if nodes else confidence)
        if not nodes:
            yield _assigned(tree, main[:depth], above, None, main)


def _assigned(
    tree: LabelTree, path: Path, probability: float, precision: float | None, main: Path
) -> AssignedCode:
    return AssignedCode(
        code=path[-1],
        title=tree.names[path[-1]],
        level=tree.levels[len(path) - 1],
        probability=probability,
        precision=precision,
        role="main" if path == main[: len(path)] else "additional",
    )
