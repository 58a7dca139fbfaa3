"""The tree of labels behind a model's outputs. Knows codes and sums, no logits.

One softmax runs over the leaves; the probability of a coarser label is the sum over the
leaves below it, so levels cannot contradict each other. A leaf with too few training rows is
folded into the "other" leaf of its parent, whose path ends above the finest level: "other" is
no code, so it is never an answer, but it takes its share of the probability. A flat label set
is a tree of one level.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from patclass.core.errors import DataError
from patclass.core.types import FloatArray, Frozen
from patclass.cpc.scheme import section_of, title_of
from patclass.cpc.symbols import LEVELS, SUBCLASS_DEPTH, code_path


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

# The cross-sectional tags of CPC: always additional, so no leaf of the tree.
TAG_SECTION = "Y"


@dataclass(frozen=True)
class LabelTree:
    """Leaves in the order of the model's outputs, and the tags whose outputs follow them.

    :param levels: names of the levels, coarsest first.
    :param paths: each leaf's codes, coarsest first; shorter than ``levels`` for "other".
    :param names: titles by code.
    :param tags: additional labels, each independent of all others.
    """

    levels: tuple[str, ...]
    paths: tuple[Path, ...]
    names: Mapping[str, str]
    tags: LabelSet = field(default_factory=lambda: LabelSet(()))

    @classmethod
    def flat(cls, labels: LabelSet, level: str = "label") -> "LabelTree":
        """A tree of one level."""
        names = {label.code: label.name for label in labels}
        return cls((level,), tuple((label.code,) for label in labels), names)

    @classmethod
    def of_cpc(cls, codes: Iterable[str], min_rows: int) -> "LabelTree":
        """Sections, classes and subclasses from the finest code known of each training row.

        :param min_rows: a code with fewer training rows is folded into its parent's "other".
        """
        cut = [code_path(code)[:SUBCLASS_DEPTH] for code in codes]
        counts = Counter(path[:depth] for path in cut for depth in range(1, len(path) + 1))
        kept = {path for path, rows in counts.items() if rows >= min_rows or len(path) == 1}
        fine = {path for path in kept if len(path) == SUBCLASS_DEPTH}
        folded = {_deepest(path, kept) for path in counts if path not in kept}
        childless = {
            path for path in kept if not any(o[: len(path)] == path and o != path for o in kept)
        }
        paths = sorted(fine | folded | childless)
        shown = sorted({code for path in paths for code in path})
        tags = LabelSet((Label(TAG_SECTION, title_of(TAG_SECTION)),))
        levels = LEVELS[: max(map(len, paths))]
        return cls(levels, tuple(paths), {code: title_of(code) for code in shown}, tags)

    def dump(self) -> dict[str, Any]:
        """The tree as ``labels.json`` of a bundle has it."""
        names = dict(self.names) | {tag.code: tag.name for tag in self.tags}
        return {
            "levels": self.levels,
            "paths": self.paths,
            "names": names,
            "tags": self.tags.codes,
        }

    @classmethod
    def parse(cls, data: object) -> "LabelTree":
        """The tree that ``dump`` wrote.

        :raises DataError: if something is missing, of another type, or contradicts itself.
        """
        try:
            stored = _StoredTree.model_validate(data)
            tags = LabelSet(tuple(Label(code, stored.names[code]) for code in stored.tags))
            tree = cls(stored.levels, stored.paths, stored.names, tags)
            sizes = [len(tree.at(level)) for level in tree.levels]
        except (ValueError, LookupError) as problem:
            raise DataError(f"the labels are damaged: {problem}") from problem
        if not sizes or not all(sizes):
            raise DataError("a level has no label")
        if not all(0 < len(path) <= len(tree.levels) for path in tree.paths):
            raise DataError("a label is deeper than the levels, or empty")
        if len(set(tree.paths)) < len(tree.paths):
            raise DataError("a label occurs twice")
        return tree

    @property
    def outputs(self) -> int:
        """Outputs of the model: one for each leaf, then one for each tag."""
        return len(self.paths) + len(self.tags)

    @property
    def output_codes(self) -> tuple[str, ...]:
        """The finest code of each output: leaves, then tags."""
        return (*(path[-1] for path in self.paths), *self.tags.codes)

    @property
    def finest(self) -> str:
        """The name of the finest level."""
        return self.levels[-1]

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
    """The fields of ``labels.json``: leaves in output order, then the tags."""

    levels: tuple[str, ...]
    paths: tuple[Path, ...]
    names: dict[str, str]
    tags: tuple[str, ...]


def common_path(paths: Iterable[Path]) -> Path:
    """The codes that all paths share, coarsest first; empty if they differ from the start."""
    shared = (set(codes) for codes in zip(*paths, strict=False))
    return tuple(codes.pop() for codes in takewhile(lambda codes: len(codes) == 1, shared))


def _deepest(path: Path, kept: set[Path]) -> Path:
    return next(path[:depth] for depth in range(len(path), 0, -1) if path[:depth] in kept)
