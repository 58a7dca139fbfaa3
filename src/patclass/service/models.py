"""The models that are loaded, and how they are exchanged. Knows bundles, no HTTP.

A new bundle is loaded and verified beside the old one. Requests hold on to the model they began
with, so each answer is from one version, and the old one is freed when its last request is done.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from patclass.bundle import read_bundle
from patclass.bundle.description import LAYOUT
from patclass.bundle.registry import locate
from patclass.core.errors import ConfigError
from patclass.inference.classifier import DEFAULTS, Classifier

log = logging.getLogger("patclass.service")

DEFAULT = "default"


@dataclass(frozen=True)
class LoadedModel:
    """A verified model that answers.

    :param version: the first twelve digits of the hash over its files' hashes.
    :param card: what its makers say of it, in Markdown.
    :param report: its evaluation as it was stored, JSON; None if it has none.
    :param tokens_a_second: measured on its golden texts.
    """

    name: str
    folder: Path
    version: str
    engine: str
    classifier: Classifier
    tokens_a_second: float
    card: str
    report: bytes | None


def load_model(name: str, folder: Path, device: str = "auto") -> LoadedModel:
    """Load a bundle, prove that it answers as it did when saved, and measure how fast.

    :raises PatclassError: if it is incomplete, altered, or does not verify.
    """
    bundle = read_bundle(folder)
    version = bundle.fingerprint
    classifier = Classifier(bundle, device)
    # Read now: damage is to show here, not in an answer.
    difference = classifier.verify()
    info = bundle.description.engine
    engine = "torch" if info is None or info.kind != "openvino" else f"openvino, {info.weights}"
    speed = _tokens_a_second(classifier, max(bundle.golden.texts, key=len))
    log.info(
        "model loaded",
        extra={
            "facts": {
                "model": name,
                "version": version,
                "engine": engine,
                "difference": float(f"{difference:.2g}"),
                "tokens_a_second": round(speed),
            }
        },
    )
    card = _read(folder / LAYOUT.card)
    return LoadedModel(
        *(name, folder, version, engine, classifier, speed),
        card="" if card is None else card.decode(),
        report=_read(folder / LAYOUT.report),
    )


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _tokens_a_second(classifier: Classifier, text: str) -> float:
    """How fast it answers a few long texts, the first time left out."""
    texts = [text] * 4
    encodings = classifier.read(texts)
    tokens = sum(len(p.ids) for reading in encodings for p in reading.passages)
    for _ in range(2):
        start = time.perf_counter()
        classifier.answer(texts, encodings, [DEFAULTS] * len(texts))
        seconds = time.perf_counter() - start
    return tokens / max(1e-6, seconds)


class Models:
    """Models by name; the first one answers where none is named."""

    def __init__(self, places: Mapping[str, str | None], device: str = "auto") -> None:
        """Say where the models are; ``load`` loads them.

        :param places: a folder or ``shipped`` for each name; None for the usual place.
        """
        self._places = dict(places)
        self.device = device
        self._loaded: dict[str, LoadedModel] = {}
        self._one_at_a_time = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the default first."""
        return tuple(self._places)

    @property
    def ready(self) -> bool:
        """Whether all of them are loaded."""
        return len(self._loaded) == len(self._places)

    def places(self) -> tuple[Path, ...]:
        """The bundles that ``load`` would load, the default first.

        :raises BundleError: if a registry is damaged.
        """
        return tuple(locate(place) for place in self._places.values())

    def loaded(self) -> tuple[LoadedModel, ...]:
        """Those that answer now."""
        return tuple(self._loaded.values())

    def get(self, name: str | None) -> LoadedModel:
        """A model that answers.

        :raises ConfigError: if there is none of that name.
        """
        wanted = name or self.names[0]
        found = self._loaded.get(wanted)
        if found is None:
            raise ConfigError(f"there is no model '{wanted}'; there are {', '.join(self.names)}.")
        return found

    def load(self) -> tuple[LoadedModel, ...]:
        """Load all anew; they take the old ones' place together, or not at all.

        :raises PatclassError: if one does not verify; the old ones then go on answering.
        """
        with self._one_at_a_time:
            fresh = {
                name: load_model(name, locate(place), self.device)
                for name, place in self._places.items()
            }
            self._loaded = fresh  # one assignment: a request sees the old ones or the new ones
        return tuple(fresh.values())


def parse_places(models: tuple[str, ...]) -> dict[str, str | None]:
    """``name=folder`` or a folder alone, which is called ``default``; none for the usual place.

    :raises ConfigError: if a name occurs twice.
    """
    places: dict[str, str | None] = {}
    for given in models:
        name, equals, place = given.partition("=")
        name, place = (name, place) if equals else (DEFAULT, given)
        if name in places:
            raise ConfigError(f"--model {given}: there are two models '{name}'; name them apart.")
        places[name] = place
    return places or {DEFAULT: None}
