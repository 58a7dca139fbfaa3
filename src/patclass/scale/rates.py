"""How fast a bundle answers on this machine, measured with all its cores at work.

Rates are kept in the user's folder of caches by the hash of the bundle: its own files are fixed,
and the next machine has other rates.
"""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from patclass.bundle import Bundle, read_bundle
from patclass.core.errors import DataError
from patclass.core.files import atomic_write, user_cache
from patclass.engines.base import instruction_sets
from patclass.inference import Classifier
from patclass.scale.worker import limit_threads, one_of_many

# Lengths in tokens at which documents are timed, below the most that the bundle reads.
_LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
_SECONDS = 0.4  # of a round of one length, about
_MOST_DOCUMENTS = 64


class Rate(BaseModel):
    """Seconds of one core for a document of so many tokens: median, and the range of rounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tokens: int
    seconds: float
    low: float
    high: float


class Rates(BaseModel):
    """Rates of a bundle on a machine.

    :param bundle: hash of the bundle's files.
    :param processor: its architecture and instruction sets.
    :param start_seconds: until a worker answers.
    :param memory: bytes of a worker, at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1
    bundle: str
    processor: tuple[str, ...]
    cores: int
    start_seconds: float
    memory: int
    documents: tuple[Rate, ...]

    def seconds(self, tokens: float, which: Literal["seconds", "low", "high"] = "seconds") -> float:
        """Seconds of one core for a document; of longer ones than it reads, no more than those."""
        lengths = [rate.tokens for rate in self.documents]
        times = [getattr(rate, which) for rate in self.documents]
        return float(np.interp(tokens, lengths, times))


def measure_rates(bundle: Bundle, workers: int, rounds: int = 5) -> Rates:
    """Time documents of several lengths, by as many workers at once as there will be.

    A core that works alone is faster than one of many, which share the memory's bandwidth.
    """
    if workers == 1:
        found = [_measure(str(bundle.folder), rounds)]
    else:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            tasks = [pool.submit(_measure, str(bundle.folder), rounds) for _ in range(workers)]
            found = [task.result() for task in tasks]
    documents = []
    for place, tokens in enumerate(found[0].lengths):
        times = [time for one in found for time in one.times[place]]
        documents.append(
            Rate(tokens=tokens, seconds=median(times), low=min(times), high=max(times))
        )
    return Rates(
        bundle=bundle.sha256,
        processor=instruction_sets(),
        cores=workers,
        start_seconds=round(max(one.start for one in found), 2),
        memory=max(one.memory for one in found),
        documents=tuple(documents),
    )


@dataclass(frozen=True)
class _Measured:
    """What one worker has measured; ``times`` by length and round, seconds for a document."""

    start: float
    lengths: list[int]
    times: list[list[float]]
    memory: int


def _measure(folder: str, rounds: int) -> _Measured:
    began = time.monotonic()
    limit_threads()
    bundle = read_bundle(Path(folder))
    classifier = one_of_many(bundle, "cpu")
    start = time.monotonic() - began
    most = bundle.description.text.max_tokens
    lengths = [length for length in _LENGTHS if length < most] + [most]
    texts = [_text_of(classifier, bundle, length) for length in lengths]
    counts = [_documents_in(classifier, text) for text in texts]
    times: list[list[float]] = [[] for _ in lengths]
    for _ in range(rounds):
        for own, text, count in zip(times, texts, counts, strict=True):
            own.append(_timed(classifier, text, count) / count)
    return _Measured(start, lengths, times, _peak_memory())


def _text_of(classifier: Classifier, bundle: Bundle, tokens: int) -> str:
    """A text of about so many tokens: words of the bundle's fixed texts."""
    words = " ".join(bundle.golden.texts).split() * (1 + tokens // 20)
    low, high = 1, len(words)
    while low < high:  # the most words that are not too many tokens
        middle = (low + high + 1) // 2
        encoded = classifier.encode([" ".join(words[:middle])])[0]
        fits = encoded.share == 1.0 and len(encoded.passages[0].ids) <= tokens
        low, high = (middle, high) if fits else (low, middle - 1)
    return " ".join(words[:low])


def _documents_in(classifier: Classifier, text: str) -> int:
    """How many documents are timed at once, so that a round takes long enough."""
    _timed(classifier, text, 1)
    return int(min(_MOST_DOCUMENTS, max(1, _SECONDS / _timed(classifier, text, 1))))


def _timed(classifier: Classifier, text: str, count: int) -> float:
    began = time.perf_counter()
    classifier.classify([text] * count)
    return time.perf_counter() - began


def _peak_memory() -> int:
    """Bytes that this process has held at most."""
    import resource

    kibibytes = 1024 if os.uname().sysname == "Linux" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kibibytes


def _place(sha256: str) -> Path:
    return user_cache("rates") / f"{sha256}.json"


def keep_rates(rates: Rates, path: Path | None = None) -> Path:
    """Write rates where ``read_rates`` finds them, or to a file; return its path.

    :raises OutputError: if it cannot be written.
    """
    target = path or _place(rates.bundle)
    with atomic_write(target) as partial:
        partial.write_text(rates.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return target


def read_rates(bundle: Bundle | None, path: Path | None = None) -> Rates:
    """Rates of a file, or of a bundle as they were last measured here.

    :raises DataError: if there are none, or the file holds none.
    """
    if path is None:
        assert bundle is not None
        path = _place(bundle.sha256)
        if not path.exists():
            raise DataError(
                f"no rates of {bundle.folder} were measured here; run 'patclass bench' first, on a "
                "machine like those that will do the work."
            )
    try:
        return Rates.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it holds no rates"
        raise DataError(
            f"cannot read {path}: {reason}. Write it with 'patclass bench'."
        ) from problem
