"""A visitor's own categories: entered, learnt in a process of its own, kept with the session.

Knows no service. What is learnt lies in a folder that is removed with the session; one visitor's
categories are learnt at a time, and few visitors' are kept.
"""

import importlib.util
import io
import json
import logging
import os
import re
import shutil
import tempfile
import threading
import weakref
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from patclass.core.bounded import call
from patclass.core.errors import DataError, OfficeError
from patclass.data.text import TextView
from patclass.offices.numbers import PublicationNumber
from patclass.ui.client import Api, PageError, as_sentence
from patclass.ui.files import UploadedTable, patent_of
from patclass.ui.fitting import BUNDLE, LIMITS, NONE, PROGRESS, TASK, classify, learn
from patclass.ui.jobs import CHUNK

VARIABLE = "PATCLASS_UI_CATEGORIES"

MAX_CATEGORIES, MAX_EXAMPLES = 100, 1000
MAX_CHARACTERS = 20_000  # of an example; no model reads that far
MAX_DESCRIPTION = 2_000
MAX_NUMBERS = 200  # looked up for one visitor's examples
# Visitors whose bundles, of some 15 MB each, are kept.
MAX_KEPT = 10

_WHAT = "This set of categories"
_WAIT = 60.0  # seconds for which the classification of a text waits for its turn
_NAMED = 5  # categories that a message names
_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n")
_LABEL_COLUMNS = ("label", "labels", "category", "categories", "class", "topic", "kategorie")

_turn = threading.Lock()  # whose process runs
log = logging.getLogger(__name__)
_kept: list["weakref.ref[CategoryModel]"] = []


def is_available() -> bool:
    """Whether the page offers to learn categories: not switched off, and torch is installed."""
    switched_off = os.environ.get(VARIABLE, "").lower() in ("0", "false", "no", "off")
    return not switched_off and importlib.util.find_spec("torch") is not None


@dataclass(frozen=True)
class Taxonomy:
    """The categories that a visitor has entered.

    :param examples: texts with their category; ``NONE`` is that of negative examples.
    :param descriptions: of the categories that have one.
    :param groups: the family of each example, or an empty text; None if no family is known.
    """

    categories: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]
    descriptions: Mapping[str, str]
    groups: tuple[str, ...] | None = None

    def check(self) -> None:
        """Refuse what is too large to be kept, and categories about which nothing is said.

        What can be learnt from the rest is decided by the training.

        :raises PageError: naming categories or the limit.
        """
        for count, most, what in (
            (len(self.categories), MAX_CATEGORIES, "categories"),
            (len(self.examples), MAX_EXAMPLES, "examples"),
        ):
            if count > most:
                raise _invalid(
                    f"There are {count:,} {what}, more than {most:,}. Use the command "
                    "'patclass train', which has no such limit."
                )
        if twice := [name for name, n in Counter(self.categories).items() if n > 1]:
            raise _invalid(f"Several categories are called '{twice[0]}'. Rename one, or join them.")
        known = {label for _, label in self.examples} | set(self.descriptions)
        if empty := [name for name in self.categories if name not in known]:
            names = ", ".join(f"'{name}'" for name in empty[:_NAMED])
            more = ", …" if len(empty) > _NAMED else ""
            raise _invalid(
                f"{len(empty)} of {len(self.categories)} categories have neither examples nor a "
                f"description: {names}{more}. Give each 5 to 15 examples, or a description."
            )

    @property
    def is_one_versus_rest(self) -> bool:
        """Whether there is one category, and negative examples."""
        return len(set(self.categories) - {NONE}) == 1


def split_examples(text: str) -> list[str]:
    """Examples divided by empty lines; without an empty line, each line is one."""
    parts = _PARAGRAPHS.split(text.strip())
    if len(parts) == 1:
        parts = text.splitlines()
    return [part.strip()[:MAX_CHARACTERS] for part in parts if part.strip()]


def label_column(table: UploadedTable) -> str | None:
    """The column that most likely has the categories, by its name."""
    named = (name for name in table.columns if name.strip().lower() in _LABEL_COLUMNS)
    return next(named, None)


def examples_of(
    table: UploadedTable, mapping: Mapping[str, str | None], column: str, negative: str | None
) -> tuple[list[tuple[str, str]], list[str]]:
    """Texts with their categories, and their families; rows without a category are left out.

    A row that has a number but no text gives the number.

    :param mapping: the column for each role.
    :param negative: the category whose rows are negative examples.
    :raises PageError: if a row cannot be read or has no text.
    """
    examples, families = [], []
    family = mapping.get("family")
    for row in table.rows():
        label = str(row.fields.get(column) or "").strip()
        if not label and row.error is None:
            continue
        patent = patent_of(row, mapping)
        if isinstance(patent, str):
            raise _invalid(f"Row {row.number} cannot be used: {patent}.")
        text = TextView(("title", "abstract")).text_of_patent(patent)
        if not text and not _is_number(patent["id"]):
            raise _invalid(f"Row {row.number} has neither a text nor a publication number.")
        text = (text or patent["id"])[:MAX_CHARACTERS]
        examples.append((text, NONE if label == negative else label))
        families.append(str(row.fields.get(family) or "") if family else "")
        if len(examples) > MAX_EXAMPLES:
            break  # the check says how many are allowed
    return examples, families


def with_texts(texts: Sequence[str], api: Api, model: str, by_number: bool) -> list[str]:
    """The texts; in place of each publication number, title and abstract from its office.

    :param by_number: whether the service looks numbers up.
    :raises PageError: if it does not, or a number is not found.
    """
    numbers = [(place, text) for place, text in enumerate(texts) if _is_number(text)]
    if numbers and not by_number:
        raise _invalid(
            f"'{numbers[0][1]}' is a publication number, and this service does not look numbers "
            "up. Enter the title and abstract instead."
        )
    if len(numbers) > MAX_NUMBERS:
        raise _invalid(f"There are {len(numbers):,} numbers; at most {MAX_NUMBERS} are looked up.")
    found = list(texts)
    for start in range(0, len(numbers), CHUNK):
        chunk = numbers[start : start + CHUNK]
        results = api.classify([{"number": text} for _, text in chunk], model, k=1)
        for (place, text), result in zip(chunk, results, strict=True):
            if result["error"] is not None:
                raise _invalid(f"'{text}' was not found: {result['error']['message']}.")
            found[place] = TextView(("title", "abstract")).text_of(result["patent"])
    return found


def _is_number(text: str) -> bool:
    try:
        PublicationNumber.parse(text)
    except OfficeError:
        return False
    return True


@dataclass
class _Outcome:
    """What has become of a task, as its thread and the session's end write it down."""

    report: dict[str, Any] | None = None
    error: str | None = None
    removed: bool = False


class CategoryModel:
    """A model of a visitor's categories: being learnt, failed with ``error``, or with a ``report``.

    Its folder is removed when nobody holds it any more, at the latest at the end of the page.
    """

    def __init__(self, taxonomy: Taxonomy) -> None:
        """Keep the task in a new folder."""
        self.taxonomy = taxonomy
        self._folder = Path(tempfile.mkdtemp(prefix="patclass-"))
        self._outcome = _Outcome()
        self.remove = weakref.finalize(self, _remove, self._folder, self._outcome)
        task = json.dumps(asdict(taxonomy), ensure_ascii=False)
        (self._folder / TASK).write_text(task, encoding="utf-8", errors="replace")

    @property
    def report(self) -> dict[str, Any] | None:
        """The figures by cross-validation, as ``FewShotReport`` has them."""
        return self._outcome.report

    @property
    def error(self) -> str | None:
        """Why nothing was learnt."""
        return self._outcome.error

    @property
    def running(self) -> bool:
        """Whether it is still being learnt."""
        return self.report is None and self.error is None

    @property
    def kept(self) -> bool:
        """Whether its bundle still exists."""
        return not self._outcome.removed

    @property
    def share(self) -> float:
        """The share of the work that is done, 0 to 1."""
        try:
            return min(1.0, float((self._folder / PROGRESS).read_text(encoding="utf-8")))
        except (OSError, ValueError):  # not begun, or just being written
            return 0.0

    def classify(self, text: str) -> dict[str, Any]:
        """The probabilities of the categories for a text, and warnings.

        :raises PageError: if the text is not usable, or others take too long.
        """
        if not _turn.acquire(timeout=_WAIT):
            raise PageError("busy", "Another visitor's categories are being learnt.", 5.0)
        try:
            folder, text = str(self._folder), text[:MAX_CHARACTERS]
            found: dict[str, Any] = call(classify, LIMITS, "This text", folder=folder, text=text)
        except DataError as problem:
            raise _invalid(as_sentence(str(problem))) from problem
        finally:
            _turn.release()
        return found

    def bundle(self) -> bytes:
        """The bundle as a ZIP file."""
        sink, folder = io.BytesIO(), self._folder / BUNDLE
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(self._folder))
        return sink.getvalue()


def start(taxonomy: Taxonomy) -> CategoryModel:
    """Begin to learn categories, in a thread that waits for a process with limits.

    The oldest other models are removed if there are too many.

    :raises PageError: if the categories cannot be used, or those of another visitor are learnt.
    """
    taxonomy.check()
    if not _turn.acquire(blocking=False):
        raise PageError(
            "busy", "Another visitor's categories are being learnt. Try again in a minute.", 5.0
        )
    try:
        model = CategoryModel(taxonomy)
        _kept[:] = [ref for ref in _kept if (kept := ref()) is not None and kept.kept]
        for ref in _kept[: max(0, len(_kept) + 1 - MAX_KEPT)]:
            if (oldest := ref()) is not None:
                oldest.remove()
        _kept.append(weakref.ref(model))
        # The thread must not hold the model, whose end is the end of the work.
        arguments = (model._folder, model._outcome)
        threading.Thread(target=_learn, args=arguments, name="categories", daemon=True).start()
    except BaseException:  # such as a full disk: nobody else could learn anything any more
        _turn.release()
        raise
    return model


def _learn(folder: Path, outcome: _Outcome) -> None:
    try:
        outcome.report = call(learn, LIMITS, _WHAT, folder=str(folder))
    except DataError as problem:
        outcome.error = as_sentence(str(problem))
    except Exception:  # would be lost with the thread
        log.exception("categories were not learnt")
        outcome.error = "An internal error occurred. The log of the page has the details."
    finally:
        if outcome.report is None or outcome.removed:
            _remove(folder, outcome)
        _turn.release()


def _remove(folder: Path, outcome: _Outcome) -> None:
    outcome.removed = True
    shutil.rmtree(folder, ignore_errors=True)


def _invalid(message: str) -> PageError:
    return PageError("invalid_input", message)
