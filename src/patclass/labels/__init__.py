"""Labels: CPC symbols, the nine sections, label sets, and how a row gets its label."""

from patclass.labels.labelset import Label, LabelSet
from patclass.labels.scheme import LabelScheme, Unusable, label_scheme
from patclass.labels.symbols import LEVELS, Symbol

__all__ = ["LEVELS", "Label", "LabelScheme", "LabelSet", "Symbol", "Unusable", "label_scheme"]
