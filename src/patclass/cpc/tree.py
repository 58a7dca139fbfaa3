"""The tree of labels behind a model's outputs. Knows codes and sums, no logits.

One softmax runs over the leaves; the probability of a coarser label is the sum over the
leaves below it, so levels cannot contradict each other. A leaf with too few training rows is
folded into the "other" leaf of its parent, whose path ends above the finest level: "other" is
no code, so it is never an answer, but it takes its share of the probability. A flat label set
is a tree of one level.

Beside its one true leaf, a patent carries many codes. Each of them, and each of their ancestors,
is a node with an output and a probability of its own, given that its parent is carried.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from patclass.core.errors import DataError
from patclass.core.types import FloatArray, Frozen, Positions
from patclass.cpc.levels import LEVELS, SUBCLASS_DEPTH, code_path
from patclass.cpc.scheme import section_of, title_of


@dataclass(frozen=True)
class Label:
    """What a row can be: a code such as ``A`` or ``A61``, and its title."""

    code: str
    name: str


@dataclass(frozen=True)
class LabelSet:
    """Labels in the order of the model's outputs."""

    labels: tuple[Label, ...]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {label.code: position for position, label in enumerate(self.labels)}
        if len(index) != len(self.labels):
            raise DataError(f"a label occurs twice among {[label.code for label in self.labels]}")
        object.__setattr__(self, "_index", index)

    @classmethod
    def of_codes(cls, codes: Iterable[str]) -> "LabelSet":
        """Labels from codes; those of CPC get their titles, others are called by their code."""
        return cls(tuple(Label(code, title_of(code)) for code in codes))

    @classmethod
    def of_names(cls, names: Iterable[str]) -> "LabelSet":
        """Labels from a ``ClassLabel``'s names; names of CPC sections also get their letters."""
        names = list(names)
        letters = [section_of(name) for name in names]
        if all(letters) and len(set(letters)) == len(names):
            return cls.of_codes([letter for letter in letters if letter])
        return cls(tuple(Label(name, name) for name in names))

    @property
    def codes(self) -> list[str]:
        """The codes in output order."""
        return [label.code for label in self.labels]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __getitem__(self, position: int) -> Label:
        return self.labels[position]

    def __contains__(self, code: object) -> bool:
        return code in self._index

    def index(self, code: str) -> int:
        """The output position of ``code``.

        :raises KeyError: if the code is not in the set.
        """
        return self._index[code]


Path = tuple[str, ...]

# Fewer training rows do not teach a main group or a subgroup.
GROUP_ROWS = 20

# The cross-sectional codes of CPC: always additional, so no leaf of the tree.
CROSS_SECTION = "Y"


Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class LabelTree:
    """Leaves in the order of the model's outputs, and the nodes whose outputs follow them.

    :param levels: names of the levels, coarsest first.
    :param paths: each leaf's codes, coarsest first; shorter than ``levels`` for "other".
    :param names: titles by code.
    :param nodes: paths of the codes that a patent may carry beside others, parents before their
        children; none where a patent has one label only.
    """

    levels: tuple[str, ...]
    paths: tuple[Path, ...]
    names: Mapping[str, str]
    nodes: tuple[Path, ...] = ()

    @classmethod
    def flat(cls, labels: LabelSet, level: str = "label") -> "LabelTree":
        """A tree of one level."""
        names = {label.code: label.name for label in labels}
        return cls((level,), tuple((label.code,) for label in labels), names)

    @classmethod
    def of_cpc(
        cls,
        codes: Iterable[str],
        min_rows: int,
        carried: Iterable[Collection[Path]] = (),
        finest: str = "subclass",
        group_rows: int = GROUP_ROWS,
    ) -> "LabelTree":
        """The levels of the CPC from the finest code known of each training row.

        :param min_rows: a code with fewer training rows is folded into its parent's "other", and
            is no node.
        :param carried: for each row whose codes are all known the paths of all of them.
        :param finest: the level below which codes are cut.
        :param group_rows: the same as ``min_rows`` for main groups and subgroups, if it is more.
        """
        depth = LEVELS.index(finest) + 1
        exact = [code_path(code)[:depth] for code in codes]
        counts = _prefix_counts(([path] for path in exact), depth)
        least = [min_rows] * SUBCLASS_DEPTH + [max(min_rows, group_rows)] * len(LEVELS)
        kept = {p for p, rows in counts.items() if rows >= least[len(p) - 1] or len(p) == 1}
        fine = {path for path in kept if len(path) == depth}
        folded = {_deepest(path, kept) for path in counts if path not in kept}
        # A main group is a code of its own: a patent in it need not be in one of its subgroups.
        folded |= {path for path in exact if path in kept and len(path) == SUBCLASS_DEPTH + 1}
        childless = {
            path for path in kept if not any(o[: len(path)] == path and o != path for o in kept)
        }
        paths = sorted(fine | folded | childless)
        # Levels are those of the main code: a level without a label of it could not be answered.
        depth = max(map(len, paths), default=1)
        listed = _prefix_counts(carried, depth)
        nodes = sorted(path for path, rows in listed.items() if rows >= least[len(path) - 1])
        shown = sorted({code for path in (*paths, *nodes) for code in path})
        levels = LEVELS[:depth]
        names = {code: title_of(code) for code in shown}
        return cls(levels, tuple(paths), names, tuple(nodes))

    def dump(self) -> dict[str, Any]:
        """The tree as ``labels.json`` of a bundle has it."""
        return {
            "levels": self.levels,
            "paths": self.paths,
            "names": dict(self.names),
            "nodes": self.nodes,
        }

    @classmethod
    def parse(cls, data: object) -> "LabelTree":
        """The tree that ``dump`` wrote.

        :raises DataError: if something is missing, of another type, or contradicts itself.
        """
        try:
            stored = _StoredTree.model_validate(data)
            tree = cls(stored.levels, stored.paths, stored.names, stored.nodes)
            sizes = [len(tree.at(level)) for level in tree.levels]
            parents = tree.node_parents.tolist()
            unnamed = [path for path in tree.nodes if not tree.names.keys() >= set(path)]
        except (ValueError, LookupError) as problem:
            raise DataError(f"the labels are damaged: {problem}") from problem
        if not sizes or not all(sizes):
            raise DataError("a level has no label")
        if unnamed:
            raise DataError(f"the node {'/'.join(unnamed[0])} has no name")
        if not all(0 < len(path) <= len(tree.levels) for path in (*tree.paths, *tree.nodes)):
            raise DataError("a label is deeper than the levels, or empty")
        if len(set(tree.paths)) < len(tree.paths) or len(set(tree.nodes)) < len(tree.nodes):
            raise DataError("a label occurs twice")
        if any(parent >= node for node, parent in enumerate(parents)):
            raise DataError("a node stands before its parent")
        return tree

    @property
    def outputs(self) -> int:
        """Outputs of the model: one for each leaf, then one for each node."""
        return len(self.paths) + len(self.nodes)

    @property
    def output_codes(self) -> tuple[str, ...]:
        """The finest code of each output: leaves, then nodes."""
        return tuple(path[-1] for path in (*self.paths, *self.nodes))

    @property
    def finest(self) -> str:
        """The name of the finest level."""
        return self.levels[-1]

    @property
    def overlapping(self) -> bool:
        """Whether a row may have several labels, of which none is the main one."""
        return self.levels[0] not in LEVELS and bool(self.nodes)

    @cached_property
    def _labels(self) -> dict[str, LabelSet]:
        sets = {}
        for depth, level in enumerate(self.levels):
            codes = dict.fromkeys(path[depth] for path in self.paths if len(path) > depth)
            sets[level] = LabelSet(tuple(Label(code, self.names[code]) for code in codes))
        return sets

    def at(self, level: str) -> LabelSet:
        """The labels of a level, in the order of their first leaf.

        :raises KeyError: if there is no such level.
        """
        return self._labels[level]

    @cached_property
    def _members(self) -> dict[str, FloatArray]:
        members = {}
        for depth, level in enumerate(self.levels):
            labels = self.at(level)
            table = np.zeros((len(self.paths), len(labels)), dtype=np.float32)
            for leaf, path in enumerate(self.paths):
                if len(path) > depth:
                    table[leaf, labels.index(path[depth])] = 1
            members[level] = table
        return members

    def sums(self, probabilities: FloatArray, level: str) -> FloatArray:
        """Probabilities of a level's labels, shape (rows, labels), from those of the leaves.

        A row adds up to one less what its "other" leaves above that level hold.
        """
        return probabilities @ self._members[level]

    @cached_property
    def groups(self) -> tuple[npt.NDArray[np.intp], ...]:
        """For each level, the group of each leaf, shape (leaves,).

        Leaves are in one group if they share their codes down to that level; an "other" leaf
        is a group of its own below the level at which its path ends.
        """
        found = []
        for depth in range(len(self.levels)):
            numbers: dict[Path, int] = {}
            keys = [path[: depth + 1] for path in self.paths]
            found.append(np.array([numbers.setdefault(key, len(numbers)) for key in keys]))
        return tuple(found)

    @cached_property
    def children(self) -> Mapping[Path, tuple[str, ...]]:
        """The codes right below each path, in the order of their first leaf."""
        found: dict[Path, dict[str, None]] = {}
        for path in self.paths:
            for depth, code in enumerate(path):
                found.setdefault(path[:depth], {})[code] = None
        return {path: tuple(codes) for path, codes in found.items()}

    def descend(self, sums: Mapping[str, FloatArray], path: Path = ()) -> Path:
        """Extend a path by the most probable label below it, level by level, as far as it goes.

        :param sums: the probabilities of each level's labels, shape (labels,).
        """
        for depth in range(len(path), len(self.levels)):
            level = self.levels[depth]
            labels = self.at(level)
            below = self.children.get(path, ())
            if not below:
                break
            path = (*path, max(below, key=lambda code: (sums[level][labels.index(code)], code)))
        return path

    @cached_property
    def _node_positions(self) -> dict[Path, int]:
        return {path: position for position, path in enumerate(self.nodes)}

    @cached_property
    def node_parents(self) -> Positions:
        """The position of each node's parent, shape (nodes,); -1 for one of the coarsest level.

        :raises KeyError: if a parent is no node.
        """
        known = self._node_positions
        return np.array(
            [known[path[:-1]] if len(path) > 1 else -1 for path in self.nodes], dtype=np.intp
        )

    @cached_property
    def node_depths(self) -> Positions:
        """How many levels lie above each node, shape (nodes,)."""
        return np.array([len(path) - 1 for path in self.nodes], dtype=np.intp)

    @cached_property
    def node_labels(self) -> Positions:
        """The position of each node among the labels of its level, or -1; shape (nodes,)."""
        sets = [self.at(level) for level in self.levels]
        labels = [(sets[len(path) - 1], path[-1]) for path in self.nodes]
        return np.array([s.index(code) if code in s else -1 for s, code in labels], dtype=np.intp)

    def nodes_on(self, paths: Iterable[Path]) -> tuple[int, ...]:
        """Positions of the nodes on some paths, in rising order: codes and all their ancestors."""
        return self.nodes_at(_prefixes(paths, len(self.levels)))

    def nodes_at(self, paths: Iterable[Path]) -> tuple[int, ...]:
        """Positions of the nodes that some paths lead to, in rising order; others have none."""
        known = self._node_positions
        return tuple(sorted(known[path] for path in paths if path in known))

    def joint(self, conditional: FloatArray) -> FloatArray:
        """Probabilities of the nodes from those given their parents; shapes are (rows, nodes).

        A product down the tree, so that no code is more probable than its parent.
        """
        found = np.array(conditional, dtype=np.float32)
        for depth in range(1, len(self.levels)):
            here = np.flatnonzero(self.node_depths == depth)
            found[:, here] *= found[:, self.node_parents[here]]
        return found

    def raised(self, values: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Values of the nodes, each at least as large as those of the nodes below it.

        A parent of what is true is true.

        :param values: shape (nodes,) or (rows, nodes).
        """
        found = values.copy()
        for depth in range(len(self.levels) - 1, 0, -1):
            here = np.flatnonzero(self.node_depths == depth)
            np.maximum.at(found.T, self.node_parents[here], found.T[here])
        return found

    def leaves_below(self, path: Path) -> tuple[int, ...]:
        """Outputs that a patent known as ``path`` may have: its leaf, or all below its node.

        A path that the tree has folded leads to "other" of its deepest known ancestor; where
        there is no such leaf either, to all leaves of that ancestor. Empty if not even its
        first code is known.
        """
        for depth in range(len(path), 0, -1):
            below = [leaf for leaf, known in enumerate(self.paths) if known[:depth] == path[:depth]]
            if below:
                other = [leaf for leaf in below if self.paths[leaf] == path[:depth]]
                return tuple(other if other and depth < len(path) else below)
        return ()


class _StoredTree(Frozen):
    """The fields of ``labels.json``: leaves in output order, then the nodes."""

    levels: tuple[str, ...]
    paths: tuple[Path, ...]
    names: dict[str, str]
    nodes: tuple[Path, ...]


def common_path(paths: Iterable[Path]) -> Path:
    """The codes that all paths share, coarsest first; empty if they differ from the start."""
    shared = (set(codes) for codes in zip(*paths, strict=False))
    return tuple(codes.pop() for codes in takewhile(lambda codes: len(codes) == 1, shared))


def _prefix_counts(rows: Iterable[Collection[Path]], depth: int) -> Counter[Path]:
    """How many rows have each path, or a finer one, down to ``depth`` levels."""
    return Counter(prefix for paths in rows for prefix in _prefixes(paths, depth))


def _prefixes(paths: Iterable[Path], depth: int) -> set[Path]:
    """Paths and all that is above them, down to ``depth`` levels."""
    return {path[:n] for path in paths for n in range(1, min(len(path), depth) + 1)}


def _deepest(path: Path, kept: set[Path]) -> Path:
    return next(path[:depth] for depth in range(len(path), 0, -1) if path[:depth] in kept)
