"""What people hold of texts, and which answers are right by it. Knows verdicts, no figures."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from patclass.labels.symbols import LEVELS, Symbol
from patclass.store.opinion import by_text, opinion_of, related
from patclass.store.verdict import Given


@dataclass(frozen=True)
class Known:
    """What people hold of one text.

    :param label: what is right; None if they know only what is not.
    :param wrong: answers that are wrong, where nobody knows what is right.
    """

    label: str | None
    wrong: frozenset[str] = frozenset()

    def judges(self, level: str, answer: str) -> bool | None:
        """Whether a level's answer is right; None if that is not known."""
        if self.label is not None:
            return is_right(level, answer, self.label)
        return False if any(_contains(wrong, answer) for wrong in self.wrong) else None


def what_is_known(given: Iterable[Given]) -> dict[str, Known]:
    """What verdicts, in the order in which they came, say of texts, by the hash of the text.

    A text about which people disagree is left out.
    """
    found = {text: _known(of_text) for text, of_text in by_text(given).items() if text}
    return {text: known for text, known in found.items() if known.label or known.wrong}


def _known(said: list[Given]) -> Known:
    opinion = opinion_of(said)
    if opinion.label is not None or opinion.disputed:
        return Known(opinion.label)
    heard = [each.feedback for each in said if each.number in opinion.numbers]
    return Known(None, frozenset(each.answer for each in heard if each.answer is not None))


def code_at(level: str, code: str, labels: Collection[str]) -> str | None:
    """The label of a level that a code stands for; None if the code is coarser.

    :param labels: of the level. Where it is none of CPC's, the finest that holds the code counts;
        a code that none of them holds, or that is none of CPC's, stays.
    """
    symbol = Symbol.parse(code)
    if symbol is None or code in labels:
        return code
    if level in LEVELS:
        return symbol.cut(level)
    above = [label for label in labels if Symbol.parse(label) and symbol.is_within(label)]
    if above:
        return max(above, key=len)
    return None if any(related(label, code) for label in labels) else code


def is_right(level: str, answer: str, truth: str) -> bool | None:
    """Whether a level's answer is right; None if the truth is known to a coarser level only."""
    code = code_at(level, truth, (answer,))
    if code is None:
        return None if related(answer, truth) else False
    return answer == code


def _contains(code: str, answer: str) -> bool:
    """Whether an answer is a label or stands below it: of what is wrong all finer is wrong too."""
    symbol = Symbol.parse(answer)
    return answer == code or (
        symbol is not None and Symbol.parse(code) is not None and symbol.is_within(code)
    )
