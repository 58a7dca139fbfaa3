"""Every figure of a model's answers on one split of a corpus, baselines included."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from patclass.data.corpus import UNSEEN, Corpus, Example
from patclass.evaluation.answers import answers_at, known_at
from patclass.evaluation.baselines import LabelledTexts, majority, tfidf_regression
from patclass.evaluation.level_report import LevelReport, level_report
from patclass.evaluation.metrics import Metrics
from patclass.evaluation.report import Report
from patclass.evaluation.scored import Scored
from patclass.evaluation.tags import tag_reports


def measure(
    scored: Scored,
    corpus: Corpus,
    split: str,
    baseline_levels: Sequence[str],
    sets: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    set_coverage: float = 0.9,
) -> Report:
    """Report on the model's answers to ``split``.

    Levels at which no row has a known label are left out; the verdict is about the coarsest
    of the others.

    :param baseline_levels: where both baselines are fitted on the corpus' train rows.
    :param sets: for some levels, which labels are in the set of each row, shape (rows, labels);
        rows are all those of ``scored``.
    :param set_coverage: share of the rows whose set should hold the true label.
    :raises ValueError: if no row has a known label at any level.
    """
    levels = {}
    for level in scored.tree.levels:
        baselines = _baselines(corpus, scored, level) if level in baseline_levels else {}
        found = _level(scored, level, baselines, (sets or {}).get(level), set_coverage)
        if found is not None:
            levels[level] = found
    if not levels:
        raise ValueError(f"nothing to evaluate: no row of {split} has a known label")
    return Report(
        split=split,
        train_rows=len(corpus["train"]),
        leaked_rows=corpus.leaked(split),
        level=next(iter(levels)),
        levels=levels,
        tags=tag_reports(scored.rows, scored.tags, scored.tree.tags.codes),
    )


def _level(
    scored: Scored,
    level: str,
    baselines: Mapping[str, Metrics],
    inside: npt.NDArray[np.bool_] | None,
    set_coverage: float,
) -> LevelReport | None:
    raw = answers_at(scored.rows, scored.raw, scored.tree, level)
    calibrated = answers_at(scored.rows, scored.calibrated, scored.tree, level)
    if raw is None or calibrated is None:
        return None
    if inside is not None:
        inside = inside[calibrated.places]
    return level_report(raw, calibrated, baselines, inside, set_coverage)


def _baselines(corpus: Corpus, scored: Scored, level: str) -> dict[str, Metrics]:
    """Both baselines by name; none if train or the split has no row with a known label."""
    depth, codes = scored.tree.levels.index(level), scored.tree.at(level).codes
    # A label that the tree lacks can be tested on, as a row without a right answer, not learnt.
    train, test = _labelled(corpus["train"], depth, 0), _labelled(scored.rows, depth)
    if not len(train.texts) or not len(test.texts):
        return {}
    validation = _labelled(corpus["validation"], depth)
    return {
        "majority": majority(train, test, codes),
        "tfidf": tfidf_regression(train, validation, test, codes),
    }


def _labelled(rows: Sequence[Example], depth: int, lowest: int = UNSEEN) -> LabelledTexts:
    """The rows whose label is known at a level, and not below the position ``lowest``."""
    places, truth = known_at(rows, depth)
    kept = truth >= lowest
    return LabelledTexts([rows[place].text for place in places[kept].tolist()], truth[kept])
