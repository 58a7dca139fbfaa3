"""An ordered, closed set of labels. Knows codes and names, not where rows get them from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from patclass.errors import DataError
from patclass.labels.cpc import title_of
from patclass.labels.sections import SECTIONS, section_of


@dataclass(frozen=True)
class Label:
    """What a row can be: a code such as ``A`` or ``A61``, and a name for people."""

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
        return cls(tuple(Label(code, SECTIONS.get(code) or title_of(code)) for code in codes))

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
