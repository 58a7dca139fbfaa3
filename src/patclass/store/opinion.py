"""What people's verdicts on one patent come to. Knows verdicts and CPC codes, no tables."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from patclass.labels.symbols import Symbol
from patclass.store.verdict import Feedback, Given


def by_text(given: Iterable[Given]) -> dict[str, list[Given]]:
    """Verdicts by the hash of their text, in order; under "" those of which it is not known."""
    found: dict[str, list[Given]] = defaultdict(list)
    for each in given:
        found[each.feedback.text_sha256 or ""].append(each)
    return found


@dataclass(frozen=True)
class Opinion:
    """What holds after all that was said.

    :param label: what people hold to be right; None if nobody knows, or they disagree.
    :param disputed: whether people disagree and nobody has decided.
    :param numbers: of the rows of feedback that still hold.
    """

    label: str | None
    disputed: bool
    numbers: tuple[int, ...]


def opinion_of(said: Sequence[Given]) -> Opinion:
    """The opinion that verdicts on one patent come to.

    A decision stands above all others. Of each person the last word counts, by when it was given:
    what is imported later may be older. Whoever gives no name counts as somebody else each time.
    """
    valid = standing(said)
    decisions = [given for given in valid if given.feedback.decides][-1:]
    heard = decisions or list({_person(given): given for given in valid}.values())
    numbers = tuple(given.number for given in heard)
    verdicts = [given.feedback for given in heard]
    if any(disagree(a, b) for a, b in combinations(verdicts, 2)):
        return Opinion(None, True, numbers)
    labels = [verdict.verdict for verdict in verdicts if verdict.verdict is not None]
    return Opinion(max(labels, key=len, default=None), False, numbers)


def standing(said: Sequence[Given]) -> list[Given]:
    """Of verdicts on one patent those that were not withdrawn, by when they were given."""
    withdrawn = {given.feedback.withdraws for given in said}
    valid = (g for g in said if g.feedback.withdraws is None and g.key not in withdrawn)
    return sorted(valid, key=lambda given: (given.created, given.number))


def disagree(a: Feedback, b: Feedback) -> bool:
    """Whether two verdicts on the same patent cannot both hold.

    A finer code agrees with the coarser one above it.
    """
    if a.verdict is not None and b.verdict is not None:
        return not related(a.verdict, b.verdict)
    # One knows only that an answer is wrong: so the other may not hold that answer to be right.
    unknown, other = (a, b) if a.verdict is None else (b, a)
    return other.verdict is not None and other.verdict == unknown.answer


def related(a: str, b: str) -> bool:
    """Whether labels are equal, or CPC codes of which one contains the other."""
    if a == b:
        return True
    symbols = Symbol.parse(a), Symbol.parse(b)
    if symbols[0] is None or symbols[1] is None:
        return False
    return symbols[0].is_within(b) or symbols[1].is_within(a)


def _person(given: Given) -> tuple[str | None, ...]:
    verdict = given.feedback
    if verdict.reviewer is None:  # many may call by one key, as the page does
        return (given.key,)
    return (verdict.reviewer, verdict.caller)
