"""Whether a tokenizer from elsewhere stays within bounds. Knows its parts, no text and no model.

A ``tokenizer.json`` is a small program: it may insert strings into a text, again and again, and
search it with regular expressions. What it inserts is added up from its parts; how long it takes
is tried on short texts, each twice as long as the one before.
"""

import base64
import json
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers

# Characters that a text may grow to for each of its own. The largest of real tokenizers are the
# compatibility forms of Unicode, one of which has eighteen; SentencePiece keeps them as bytes.
MOST_GROWTH = 256

# What stands before or after parts of words is one character or two.
_MOST_AFFIX = 64

# Seconds of the processor for a short text. Real tokenizers need a thousandth.
_MOST_SECONDS = 0.5
_LONGEST = 1024
_KINDS = ("a", "1", " ", "-", "é", "字", "aB 1-. ")

# So many of the characters of its own patterns are tried besides.
_OWN = 16


def check_limits(tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer that makes too much of a text, or takes too long.

    :raises ValueError: saying what is out of bounds.
    """
    parts = [tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.post_processor]
    steps = [step for part in parts if part is not None for step in _steps(_state(part))]
    growth = 1.0
    for step in steps:
        growth *= _growth(step)
        if growth > MOST_GROWTH:
            raise ValueError(f"a text may grow more than {MOST_GROWTH}-fold by its {step['type']}")
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if len(getattr(tokenizer.model, name, None) or "") > _MOST_AFFIX:
            raise ValueError(f"its {name} has more than {_MOST_AFFIX} characters")
    own = sorted({letter for step in steps for letter in _pattern(step)[1]})
    _try_out(tokenizer, (*_KINDS, *own[:_OWN]))


def _state(part: Any) -> dict[str, Any]:
    """What the file says of a part."""
    found: dict[str, Any] = json.loads(part.__getstate__())
    return found


def _steps(part: Any) -> Iterator[dict[str, Any]]:
    """A part, or those that it is a sequence of."""
    if isinstance(part, list):
        for each in part:
            yield from _steps(each)
    elif isinstance(part, dict) and part.get("type") == "Sequence":
        for value in part.values():
            yield from _steps(value)
    elif isinstance(part, dict) and "type" in part:
        yield part


def _growth(step: dict[str, Any]) -> float:
    """Characters that a text may have after a step for each that it has before."""
    match step["type"]:
        case "Replace":
            return _replaced(step)
        case "Prepend":
            return 1 + len(step["prepend"])
        case "ByteLevel":
            return 4
        case "Precompiled":
            return max(1, _longest_piece(base64.b64decode(step["precompiled_charsmap"])))
    return 1


def _pattern(step: dict[str, Any]) -> tuple[str, str]:
    """The kind of a step's pattern and the pattern; both empty if it has none."""
    pattern = step.get("pattern")
    return next(iter(pattern.items())) if isinstance(pattern, dict) and pattern else ("", "")


def _replaced(step: dict[str, Any]) -> float:
    (kind, pattern), content = _pattern(step), step["content"]
    if kind == "String":
        return max(1.0, len(content) / len(pattern)) if pattern else 1 + len(content)
    # Where nothing is matched, as by "x*", the content stands between all characters.
    replace = normalizers.Replace(Regex(pattern), content)
    grows = any(
        len(replace.normalize_str(text)) > len(text) * max(1, len(content))
        for text in ("", *_KINDS, pattern)
    )
    return 1 + len(content) if grows else max(1, len(content))


def _longest_piece(charsmap: bytes) -> int:
    """Of SentencePiece's table of replacements: after its index, they are divided by zeros."""
    index = int.from_bytes(charsmap[:4], "little")
    return max(len(piece) for piece in charsmap[4 + index :].split(b"\0"))


def _try_out(tokenizer: Tokenizer, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        for doubled in count(6):
            text = (kind * 2**doubled)[: 2**doubled]
            start = time.thread_time()
            tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
            if time.thread_time() - start > _MOST_SECONDS:
                raise ValueError(f"a text of {len(text)} characters takes too long ('{kind}' …)")
            if tokens > MOST_GROWTH * len(text):
                raise ValueError(f"{len(text)} characters become {tokens:,} tokens ('{kind}' …)")
            if len(text) >= _LONGEST:
                break
