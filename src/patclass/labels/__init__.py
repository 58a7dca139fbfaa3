"""Labels: CPC symbols and titles, label sets and trees, and how a row gets its label."""

from patclass.labels.labelset import Label, LabelSet
from patclass.labels.scheme import LabelScheme, RowLabel, Unusable, label_scheme
from patclass.labels.symbols import LEVELS, Symbol
from patclass.labels.tree import LabelTree

__all__ = [
    "LEVELS",
    "Label",
    "LabelScheme",
    "LabelSet",
    "LabelTree",
    "RowLabel",
    "Symbol",
    "Unusable",
    "label_scheme",
]
