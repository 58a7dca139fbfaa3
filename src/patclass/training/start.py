"""Starting from a bundle instead of a bare base: its base, adapter and settings."""

from dataclasses import replace
from pathlib import Path

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.description import LAYOUT
from patclass.bundle.registry import SHIPPED, locate
from patclass.bundle.weights import find_base
from patclass.core.errors import ModelError, TrainingError
from patclass.core.settings import FitSettings, TrainSettings
from patclass.model.adapter import scale_adapter
from patclass.model.architecture import architecture_of
from patclass.model.base import BaseFiles
from patclass.model.device import apply_compute, choose_compute
from patclass.model.network import Parts, PatentClassifier, new_classifier, warm_start
from patclass.model.packing import PACKED, is_packed
from patclass.training.categories import read_descriptions
from patclass.training.processes import Processes


def start_bundle(name: str) -> Bundle | None:
    """The bundle that the setting ``base`` names; None if it names a bare base.

    :raises BundleError: if the bundle is damaged.
    :raises ModelError: if it is an exported one, whose adapter is merged.
    """
    if name != SHIPPED and not (Path(name) / LAYOUT.manifest).is_file():
        return None
    bundle = read_bundle(locate(name))
    check_start(bundle)
    return bundle


def check_start(bundle: Bundle) -> None:
    """Refuse a bundle that nothing can start from.

    :raises ModelError: if it is an exported one, whose adapter is merged.
    """
    if bundle.description.engine is not None:
        raise ModelError(
            f"base {bundle.folder} is exported, and has no adapter to start from; name the bundle "
            "that it was exported from, or 'shipped'.",
            setting="base",
        )


def start_settings(bundle: Bundle, settings: TrainSettings) -> TrainSettings:
    """Settings of a run that starts from a bundle: what is not given is the bundle's.

    :raises ModelError: if another adapter is asked for than the bundle has.
    """
    stored = bundle.description.settings
    for name in settings.lora.model_fields_set:
        wanted, there = getattr(settings.lora, name), getattr(stored.lora, name)
        if name in ("r", "targets", "lora_layers") and wanted != there:
            raise ModelError(
                f"{name} {wanted}: the adapter of base '{settings.base.base}' has {there}; leave "
                "it out.",
                setting=name,
            )
    text = bundle.description.text
    base = {} if "max_tokens" in settings.base.model_fields_set else {"max_tokens": text.max_tokens}
    answer: dict[str, object] = {"embed_base": bundle.description.base.embedded}
    if "truncation" not in settings.answer.model_fields_set:
        answer["truncation"] = text.truncation
    return settings.model_copy(
        update={
            "base": settings.base.model_copy(update=base),
            "lora": stored.lora,
            "answer": settings.answer.model_copy(update=answer),
        }
    )


def choose(
    settings: TrainSettings, base: BaseFiles, start: Bundle | None
) -> tuple[TrainSettings, Parts]:
    """Replace every ``auto`` of the computation by what is chosen here.

    :raises ModelError: if the base cannot be used with these settings.
    """
    traits = architecture_of(base.config, base.name)
    limit = traits.max_positions
    if limit is not None and settings.base.max_tokens > limit:
        raise ModelError(
            f"max_tokens {settings.base.max_tokens}: base '{base.name}' reads at most {limit}.",
            setting="max_tokens",
        )
    if settings.answer.embed_base and not is_packed(base.folder / PACKED):
        raise ModelError(
            f"embed_base: base '{base.name}' is not packed; a copy of it in every bundle would "
            "be as large as the base. Pack it first (scripts/compact_base.py).",
            setting="embed_base",
        )
    compute = choose_compute(settings.base.device, settings.base.precision, traits.stored)
    apply_compute(compute)
    chosen = settings.base.model_copy(
        update={"device": compute.device, "precision": compute.precision}
    )
    rate = settings.fit.learning_rate or traits.learning_rate
    fit = settings.fit.model_copy(update={"learning_rate": rate})
    if settings.answer.embed_base and start is None:
        # Where it once lay is of no use to anybody.
        base = replace(base, name=base.folder.name, source=base.folder.name)
    return settings.model_copy(update={"base": chosen, "fit": fit}), Parts(base, compute)


def check_few(settings: TrainSettings, resume: bool, processes: Processes) -> None:
    """Refuse what has no meaning where few rows are learnt from.

    :raises TrainingError: naming the setting.
    """
    if resume:
        raise TrainingError(
            "few examples are learnt in one go, so that there is nothing to resume; leave resume "
            "out.",
            setting="resume",
        )
    if processes.count > 1:
        raise TrainingError(
            f"{processes.count} processes were launched, but few examples are learnt in one; start "
            "it alone."
        )
    if settings.fit.teacher is not None:
        raise TrainingError(
            f"teacher {settings.fit.teacher}: few examples are learnt without one; leave it out, "
            "or set few_rows to 0.",
            setting="teacher",
        )


# Settings of training that few examples are learnt without.
_UNUSED = ("epochs", "batch_tokens", "balance", "best_by", "field_dropout", "warmup")


def unused_few(settings: TrainSettings, usual_rate: float) -> list[str]:
    """The names of settings that were changed, but have no meaning where few rows are learnt from.

    :param usual_rate: the learning rate of the architecture.
    """
    fit, usual = settings.fit, FitSettings()
    found = [name for name in _UNUSED if getattr(fit, name) != getattr(usual, name)]
    return found + ["learning_rate"] * (fit.learning_rate not in (None, usual_rate))


def bare_settings(settings: TrainSettings, parts: Parts) -> TrainSettings:
    """The settings to keep in a bundle: they name its base, not the bundle that it started from."""
    base = {"base": parts.base.name, "revision": parts.base.revision}
    return settings.model_copy(update={"base": settings.base.model_copy(update=base)})


def start_parts(bundle: Bundle, device: str = "auto") -> Parts:
    """Base and device of a bundle.

    :raises BundleError: if its base is not found.
    """
    base = find_base(bundle.folder, bundle.description)
    compute = choose_compute(device, bundle.description.precision)
    apply_compute(compute)
    return Parts(base, compute)


# The best encoder for other labels lies between the base, which knows any text, and the one that
# was tuned to the labels of the bundle (interpolated weights; Wortsman et al. 2022,
# arXiv:2109.01903).
SHARES = (0.5, 1.0)


def start_model(bundle: Bundle, parts: Parts, outputs: int, share: float) -> PatentClassifier:
    """A classifier of other labels, which begins with a share of the adapter of a bundle."""
    model = new_classifier(parts, bundle.description.settings.lora, outputs)
    warm_start(model, bundle.folder / LAYOUT.adapter, bundle.folder, {})
    scale_adapter(model.backbone, share)
    return model


def descriptions_of(settings: TrainSettings, start: Bundle | None) -> dict[str, str]:
    """The descriptions of labels, where some are given.

    :raises DataError: if they cannot be read.
    :raises ModelError: if training does not start from a bundle.
    """
    path = settings.few.descriptions
    if path is None:
        return {}
    if start is None:
        raise ModelError(
            f"descriptions {path}: only where training starts from a bundle; name one as base, "
            f"such as {SHIPPED}.",
            setting=("descriptions", "base"),
        )
    return read_descriptions(Path(path))
