"""The loaded models, and how they are replaced. Knows bundles, no HTTP.

A new bundle is loaded and verified while the old one serves. A request keeps the model it began
with, so each response is of one version; the old model is freed after its last request.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from patclass.bundle import read_bundle
from patclass.bundle.registry import locate
from patclass.core.errors import ConfigError
from patclass.evaluation.report import check_report
from patclass.inference.classifier import DEFAULTS, Classifier
from patclass.service.logs import LOGGER

log = logging.getLogger(LOGGER)

DEFAULT = "default"


@dataclass(frozen=True)
class LoadedModel:
    """A verified model that serves.

    :param version: the bundle's fingerprint.
    :param card: the model card, Markdown.
    :param report: the stored evaluation report, JSON; None if it has none.
    :param tokens_per_second: measured on its golden texts.
    """

    name: str
    folder: Path
    version: str
    engine: str
    classifier: Classifier
    tokens_per_second: float
    card: str
    report: bytes | None


def load_model(name: str, folder: Path, device: str = "auto") -> LoadedModel:
    """Load a bundle, verify it on its golden texts, and measure its speed.

    :raises PatclassError: if it is incomplete, altered, or does not verify.
    """
    bundle = read_bundle(folder)
    version, report = bundle.fingerprint, check_report(bundle)
    classifier = Classifier(bundle, device)
    difference = classifier.verify()
    info = bundle.description.engine
    engine = "torch" if info is None or info.kind != "openvino" else f"openvino, {info.weights}"
    speed = _tokens_per_second(classifier, max(bundle.golden.texts, key=len))
    log.info(
        "model loaded",
        extra={
            "facts": {
                "model": name,
                "version": version,
                "engine": engine,
                "difference": float(f"{difference:.2g}"),
                "tokens_per_second": round(speed),
            }
        },
    )
    return LoadedModel(
        name=name,
        folder=folder,
        version=version,
        engine=engine,
        classifier=classifier,
        tokens_per_second=speed,
        card=bundle.card,
        report=report,
    )


def _tokens_per_second(classifier: Classifier, text: str) -> float:
    """Tokens per second of the classifier on a few long texts, after a warm-up."""
    texts = [text] * 4
    encodings = classifier.encode(texts)
    tokens = sum(len(p.ids) for encoding in encodings for p in encoding.passages)
    for _ in range(2):
        start = time.perf_counter()
        classifier.classify_encoded(texts, encodings, [DEFAULTS] * len(texts))
        seconds = time.perf_counter() - start
    return tokens / max(1e-6, seconds)


class Models:
    """Models by name; the first one is the default."""

    def __init__(self, places: Mapping[str, str | None], device: str = "auto") -> None:
        """Set the locations of the models; ``load`` loads them.

        :param places: a folder or ``shipped`` for each name; None for the default location.
        """
        self._places = dict(places)
        self.device = device
        self._loaded: dict[str, LoadedModel] = {}
        self._load_lock = threading.Lock()

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
        """The models that serve now, the default first."""
        return tuple(self._loaded.values())

    def get(self, name: str | None) -> LoadedModel:
        """A loaded model by its name; the default for None.

        :raises ConfigError: if there is no model of that name.
        """
        name = name or self.names[0]
        model = self._loaded.get(name)
        if model is None:
            raise ConfigError(f"there is no model '{name}'; there are {', '.join(self.names)}.")
        return model

    def load(self) -> tuple[LoadedModel, ...]:
        """Load all models again; they replace the old ones together, or not at all.

        :raises PatclassError: if one does not verify; the old ones then stay.
        """
        with self._load_lock:
            loaded = {
                name: load_model(name, locate(place), self.device)
                for name, place in self._places.items()
            }
            self._loaded = loaded  # one assignment, so a request sees either the old or the new
        return tuple(loaded.values())


def parse_places(models: tuple[str, ...]) -> dict[str, str | None]:
    """Parse ``name=folder``, or a folder alone, which gets the name ``default``.

    :return: the folder of each name; ``{"default": None}``, the default location, if none.
    :raises ConfigError: if a name occurs twice.
    """
    places: dict[str, str | None] = {}
    for model in models:
        name, equals, place = model.partition("=")
        name, place = (name, place) if equals else (DEFAULT, model)
        if name in places:
            raise ConfigError(
                f"model {model}: there are two models '{name}'; choose different names.",
                setting="model",
            )
        places[name] = place
    return places or {DEFAULT: None}
