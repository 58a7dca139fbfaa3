"""What is learnt of a visitor's categories, in a process of its own with limits. Knows no service.

That process has torch, which the page itself never imports. A task and its bundle are files of one
folder; whoever removes the folder ends the work.
"""

import json
from pathlib import Path
from typing import Any

from patclass.core.bounded import Limits
from patclass.core.errors import DataError, PatclassError

# In the folder of a task: what is to be learnt, the share that is done, and the bundle.
TASK, PROGRESS, BUNDLE = "task.json", "progress", "my-categories"

# The label of negative examples, as it is called in training.
NONE = "none"

LIMITS = Limits(
    4 << 30,
    seconds=300,
    remedy="Give fewer or shorter examples.",
    purpose="be learnt",
    reserved=128 << 30,
    cause="as an internal error occurred (the log of the page has the details)",
)

# Shares of the work until torch is loaded, and until the figures are known.
_LOADED, _MEASURED = 0.1, 0.6


def learn(folder: str) -> dict[str, Any]:
    """Cross-validate, learn from all examples, write the bundle; return the report.

    :raises DataError: if nothing can be learnt from the examples, or the folder was removed.
    """
    try:
        return _learn(Path(folder))
    except DataError:
        raise
    except PatclassError as problem:  # the only kind that is told from a crash
        raise DataError(str(problem)) from problem


def _learn(place: Path) -> dict[str, Any]:
    from patclass.bundle import read_bundle
    from patclass.bundle.registry import SHIPPED, locate
    from patclass.training.few_shot import cross_validate, fit_few_shot

    _note(place, _LOADED)
    task = json.loads((place / TASK).read_text(encoding="utf-8"))
    examples = [(text, label) for text, label in task["examples"]]
    bundle, descriptions = read_bundle(locate(SHIPPED)), task["descriptions"]
    report = cross_validate(
        examples,
        bundle,
        descriptions,
        task["groups"],
        lambda share: _note(place, _LOADED + (_MEASURED - _LOADED) * share),
    )
    fit_few_shot(
        examples,
        report,
        bundle,
        place / BUNDLE,
        descriptions,
        lambda share: _note(place, _MEASURED + (1 - _MEASURED) * share),
    )
    found: dict[str, Any] = report.model_dump(mode="json", exclude={"logits", "word_log_probs"})
    return found


def _note(folder: Path, share: float) -> None:
    try:
        (folder / PROGRESS).write_text(str(share), encoding="utf-8")
    except FileNotFoundError:
        raise DataError("The categories were removed.") from None


def classify(folder: str, text: str) -> dict[str, Any]:
    """The probability of each category for a text, the most probable first, and the warnings.

    :raises DataError: if the text is not usable.
    """
    from patclass.inference import load

    classifier = load(Path(folder) / BUNDLE)
    probabilities = classifier.predict_proba([text])[0]
    codes = classifier.tree.at(classifier.tree.finest).codes
    ordered = sorted(zip(codes, map(float, probabilities), strict=True), key=lambda pair: -pair[1])
    (prediction,) = classifier.classify([text])
    warnings = [warning.message for warning in prediction.warnings]
    return {"probabilities": ordered, "warnings": warnings}
