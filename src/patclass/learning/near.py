"""Texts that are nearly the same, by the runs of words that they share. Knows words only."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

# Runs of so many words; patents of one family share whole sentences, others hardly any run.
_RUN = 5

# Share of the runs of both that must be the same (Jaccard; Broder 1997, "On the resemblance and
# containment of documents").
NEARLY = 0.5

_WORD = re.compile(r"\w+")


class NearTexts:
    """Texts among which near-duplicates are looked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._sizes: list[int] = []
        self._places: dict[int, list[int]] = defaultdict(list)
        for place, text in enumerate(texts):
            runs = _runs(text)
            self._sizes.append(len(runs))
            for run in runs:
                self._places[run].append(place)

    def has(self, text: str) -> bool:
        """Whether one of the texts is nearly the same."""
        return bool(self.places(text))

    def places(self, text: str) -> list[int]:
        """Which of the texts are nearly the same."""
        if not self._sizes:
            return []
        runs = _runs(text)
        shared = Counter(place for run in runs for place in self._places.get(run, ()))
        return [
            place
            for place, both in shared.items()
            if both / (len(runs) + self._sizes[place] - both) >= NEARLY
        ]


def _runs(text: str) -> set[int]:
    """Hashes of all runs of words; of a short text, of its words together."""
    words = _WORD.findall(text.lower())
    if len(words) <= _RUN:
        return {hash(tuple(words))}
    return {hash(tuple(words[start : start + _RUN])) for start in range(len(words) - _RUN + 1)}
