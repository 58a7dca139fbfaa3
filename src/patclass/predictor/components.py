"""The components around the model: each is one class with one file of its own.

To add one, write a class with ``FILE``, ``REQUIRED`` (whether every bundle has it), ``fit``,
``save`` and ``load``, and put it on ``COMPONENTS``. Training fits the list in its order, a bundle
saves, hashes and loads it, and an export copies it: none of them knows what a component does.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeVar, cast

from patclass.cpc.tree import LabelTree
from patclass.predictor.all_codes import AllCodes
from patclass.predictor.calibration import Calibration
from patclass.predictor.conformal import ConformalSets
from patclass.predictor.drift_reference import DriftReference
from patclass.predictor.linear import LinearModel
from patclass.predictor.neighbours import NeighbourIndex

if TYPE_CHECKING:
    from patclass.predictor.fitting import Fitting


class Component(Protocol):
    """What is fitted on train and validation rows once the model is trained."""

    FILE: ClassVar[str]
    REQUIRED: ClassVar[bool]

    @classmethod
    def fit(cls, fitting: "Fitting") -> Self | None:
        """Fit on the rows of a run; None if they, or the settings, give nothing to fit.

        Components before this one on the list are fitted already.
        """

    def save(self, folder: Path) -> None:
        """Write ``FILE`` into ``folder``.

        :raises OSError: if it cannot be written.
        """

    @classmethod
    def load(cls, data: bytes, tree: LabelTree) -> Self:
        """Read back what ``FILE`` holds.

        :raises ModelError: if it is damaged, or was made for other labels.
        """


COMPONENTS: tuple[type[Component], ...] = (
    LinearModel,
    Calibration,
    AllCodes,
    ConformalSets,
    NeighbourIndex,
    DriftReference,
)

Kind = TypeVar("Kind", bound=Component)


class Components:
    """Fitted components, at most one of each class."""

    def __init__(self, fitted: Iterable[Component] = ()) -> None:
        self._fitted = {type(component): component for component in fitted}

    def __iter__(self) -> Iterator[Component]:
        return iter(self._fitted.values())

    def get(self, kind: type[Kind]) -> Kind | None:
        """The component of a class, if there is one."""
        return cast("Kind | None", self._fitted.get(kind))

    def save(self, folder: Path) -> None:
        """Write each component's file.

        :raises OSError: if one cannot be written.
        """
        for component in self:
            component.save(folder)

    @classmethod
    def load(cls, read: Callable[[str], bytes | None], tree: LabelTree) -> Self:
        """Read the components of a bundle.

        :param read: gives what a file holds, or None if the bundle has no such file.
        :raises ModelError: if one is damaged, or was made for other labels.
        """
        files = [(kind, read(kind.FILE)) for kind in COMPONENTS]
        return cls(kind.load(data, tree) for kind, data in files if data is not None)
