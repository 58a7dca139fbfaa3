"""Which parts of a text are read. Knows tokens and places in the text, no model.

A model reads a few hundred tokens at a time. ``head`` reads the first ones; ``head+tail``
reads the first three quarters of that from the start and the rest from the end; ``windows``
reads overlapping passages one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tokenizers import Encoding

Policy = Literal["head", "head+tail", "windows"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

HEAD_SHARE = 0.75

# Neighbouring windows share a quarter, so that what one cuts in two the other holds whole.
OVERLAP = 0.25
MAX_WINDOWS = 16


@dataclass(frozen=True)
class Passage:
    """A part of a text: its tokens with the special ones, and its place in characters."""

    ids: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Reading:
    """What is read of one text.

    :param share: the share of the text's characters that are read, 0 to 1.
    """

    passages: tuple[Passage, ...]
    share: float

    @property
    def ids(self) -> list[int]:
        """All tokens that are read, passage after passage."""
        return [token for passage in self.passages for token in passage.ids]


def windows_of(tokens: int, room: int) -> list[tuple[int, int]]:
    """Spans of at most ``room`` of ``tokens`` tokens that overlap; at most MAX_WINDOWS."""
    if tokens <= room:
        return [(0, tokens)]
    step = max(1, round(room * (1 - OVERLAP)))
    starts = list(range(0, tokens - room, step))[: MAX_WINDOWS - 1]
    last = min(tokens - room, starts[-1] + step)
    return [(start, start + room) for start in (*starts, last)]


def spans_of(tokens: int, room: int, policy: Policy) -> list[list[tuple[int, int]]]:
    """The passages of a text, each as the spans of tokens that it is made of."""
    if tokens <= room or policy == "head":
        return [[(0, min(tokens, room))]]
    if policy == "windows":
        return [[span] for span in windows_of(tokens, room)]
    head = round(room * HEAD_SHARE)
    return [[(0, head), (tokens - (room - head), tokens)]]


def make_reading(
    text: str,
    seen: int,
    encoding: Encoding,
    frame: tuple[Sequence[int], Sequence[int]],
    room: int,
    policy: Policy,
) -> Reading:
    """Cut an encoded text into passages.

    :param seen: how many characters of the text the tokenizer was given.
    :param encoding: the text's tokens without special ones.
    :param frame: the special tokens before and after each passage.
    :param room: content tokens in a passage.
    """
    ids, offsets = encoding.ids, encoding.offsets
    passages, read = [], set()
    for spans in spans_of(len(ids), room, policy):
        chosen = [position for start, end in spans for position in range(start, end)]
        content = [ids[position] for position in chosen]
        places = [offsets[position] for position in chosen] or [(0, 0)]
        read.update(chosen)
        passages.append(Passage((*frame[0], *content, *frame[1]), places[0][0], places[-1][1]))
    return Reading(tuple(passages), _share(text, seen, offsets, read))


def _share(text: str, seen: int, offsets: Sequence[tuple[int, int]], read: set[int]) -> float:
    """Read characters over all characters; space between tokens belongs to the one before."""
    if not text or (len(read) == len(offsets) and seen == len(text)):
        return 1.0  # characters that are no tokens, such as control characters, were seen too
    if not offsets:
        return seen / len(text)
    ends = [*(start for start, _ in offsets[1:]), offsets[-1][1]]
    return min(1.0, sum(ends[p] - offsets[p][0] for p in read) / len(text))
