"""Labels of a row, and the schemes without levels that read them from a column.

Knows a row's fields; no CPC. A row has one label, or several that overlap: a list of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from patclass.cpc.levels import SUBCLASS_DEPTH
from patclass.cpc.tree import LabelSet, LabelTree, Path, common_path
from patclass.data.codes import Fields, UnusableRowError


@dataclass(frozen=True)
class RowLabel:
    """What is known of a row's label.

    :param path: the codes that are certain, coarsest first; empty if not even the first is.
    :param candidates: paths at or below ``path``, one of which is the true one.
    :param carried: the paths of all codes of the row, main and additional; None if it may have
        others than are known.
    :param contradicted: whether no listed code is of the main code's section.
    """

    path: Path
    candidates: tuple[Path, ...]
    carried: tuple[Path, ...] | None = None
    contradicted: bool = False

    @classmethod
    def flat(cls, code: str) -> "RowLabel":
        """A label of a set without levels."""
        return cls((code,), ((code,),))

    @property
    def code(self) -> str:
        """The finest code that is certain."""
        return self.path[-1]

    @property
    def unrefined(self) -> tuple[Path, ...]:
        """The carried paths that end above the groups, with no other path below them.

        A symbol without a group, as in lists of subclasses, does not say that there is none; a
        main group is a whole symbol, and says that its subgroups do not apply.
        """
        coarse = [path for path in self.carried or () if len(path) <= SUBCLASS_DEPTH]
        above = {path[:depth] for path in self.carried or () for depth in range(1, len(path))}
        return tuple(path for path in coarse if path not in above)

    @property
    def learnt(self) -> tuple[Path, ...]:
        """What the row certainly teaches: its path, or all of its overlapping labels."""
        flat = all(len(path) == 1 for path in self.candidates)
        return (self.path,) if self.path else self.candidates if flat and self.carried else ()


class LabelScheme(Protocol):
    """Finds a row's label and the tree of all labels."""

    def label_of(self, fields: Fields) -> RowLabel:
        """The row's label.

        :raises Unusable: if the row has none or more than one.
        """

    def label_of_code(self, code: str) -> RowLabel:
        """The label of a patent of which a person says that it belongs under ``code``.

        :raises Unusable: if that decides no label.
        """

    def tree(self, training: Sequence[RowLabel], min_rows: int) -> LabelTree:
        """All labels in output order, given those of the training rows.

        :param min_rows: codes with fewer training rows are folded, where there are levels.
        """


class FlatScheme:
    """What the schemes without levels have in common: one code a row."""

    @property
    def level_name(self) -> str:
        """The name of the only level."""
        return "label"

    def code_of(self, fields: Fields) -> str:
        """The label of a row.

        :raises UnusableRowError: if it has none, or several.
        """
        raise NotImplementedError

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        """All labels in output order, given those of the training rows."""
        return LabelSet.of_codes(sorted(set(training_codes)))

    def label_of(self, fields: Fields) -> RowLabel:
        """As of ``LabelScheme``."""
        return RowLabel.flat(self.code_of(fields))

    def label_of_code(self, code: str) -> RowLabel:
        """As of ``LabelScheme``."""
        return RowLabel.flat(code)

    def tree(self, training: Sequence[RowLabel], min_rows: int) -> LabelTree:
        """As of ``LabelScheme``."""
        return LabelTree.flat(self.label_set(label.code for label in training), self.level_name)


@dataclass(frozen=True)
class ColumnLabels(FlatScheme):
    """Labels as they stand in a column, one a row or a list of them.

    :param multi: whether texts are lists too, with semicolons between the labels.
    """

    column: str
    multi: bool = field(default=False, kw_only=True)

    def code_of(self, fields: Fields) -> str:
        """The label of a row that has one.

        :raises UnusableRowError: if it has none, or several.
        """
        return unanimous(self._codes(fields))

    def label_of(self, fields: Fields) -> RowLabel:
        """As of ``LabelScheme``."""
        paths = tuple((code,) for code in sorted(set(self._codes(fields))))
        if not self.multi and not isinstance(fields.get(self.column), list | tuple):
            return RowLabel(paths[0], paths)
        return RowLabel(common_path(paths), paths, paths)

    def tree(self, training: Sequence[RowLabel], min_rows: int) -> LabelTree:
        """As of ``LabelScheme``."""
        labels = self.label_set({path[0] for label in training for path in label.candidates})
        tree = LabelTree.flat(labels, self.level_name)
        several = any(label.carried is not None for label in training)
        return replace(tree, nodes=tree.paths) if several else tree

    def _codes(self, fields: Fields) -> list[str]:
        return [self.code(text) for text in _cells(fields, self.column, self.multi)]

    def code(self, text: str) -> str:
        """The label that a cell, or an entry of its list, stands for."""
        return text


@dataclass(frozen=True)
class NamedLabels(ColumnLabels):
    """A ``ClassLabel`` column: integers, or their names, that stand for a known label set."""

    names: tuple[str, ...]
    labels: LabelSet

    def code(self, text: str) -> str:
        """The label that an integer or a name stands for."""
        if text.isdecimal() and int(text) < len(self.names):
            return self.labels[int(text)].code
        if text in self.names:
            return self.labels[self.names.index(text)].code
        raise UnusableRowError("unknown label")

    def label_of_code(self, code: str) -> RowLabel:
        """As of ``LabelScheme``."""
        if code not in self.labels:
            raise UnusableRowError("unknown label")
        return RowLabel.flat(code)

    def label_set(self, training_codes: Iterable[str]) -> LabelSet:
        """All labels in output order, given those of the training rows."""
        return self.labels


def _cells(fields: Fields, column: str, multi: bool) -> list[str]:
    """The labels in a cell: the entries of a list, or of a text where it may hold several."""
    value = fields.get(column)
    if isinstance(value, list | tuple):
        if any(isinstance(entry, list | tuple | dict) for entry in value):
            raise UnusableRowError("a list of labels has another list in it", str(value)[:60])
        return [_cell({column: entry}, column) for entry in value] or [_cell({}, column)]
    text = _cell(fields, column)
    if text.startswith("[") and text.endswith("]"):
        raise UnusableRowError("labels written as the text of a list", text[:60])
    if not multi:
        return [text]
    found = [part.strip() for part in text.split(";") if part.strip()]
    return found or [_cell({}, column)]


def _cell(fields: Fields, column: str) -> str:
    value = fields.get(column)
    text = "" if value is None else str(value).strip()
    if not text or text == "-1":  # -1 is how hub data sets say "unlabelled"
        raise UnusableRowError("no label")
    return text


def unanimous(codes: Iterable[str | None]) -> str:
    """The only code there is.

    :raises UnusableRowError: if there is none, or more than one.
    """
    found = {code for code in codes if code is not None}
    if not found:
        raise UnusableRowError("no label")
    if len(found) > 1:
        raise UnusableRowError("ambiguous label")
    return found.pop()
