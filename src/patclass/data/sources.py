"""Where rows come from: ``data`` as a source with splits. Knows no labels and no text view.

Of data sets of the hub, which the ``datasets`` library reads, the names of labels are known.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from patclass.core.errors import DataError
from patclass.cpc.scheme import SECTIONS
from patclass.data.columns import add_roles, columns_by_role
from patclass.data.examples import SPLITS
from patclass.data.formats import TABLE_SUFFIXES, is_table, stem_of
from patclass.data.rows import open_table
from patclass.data.table import RECOGNISED, Row, Table, TableOptions, check_stated

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(:(?P<config>[\w.-]+))?(@(?P<revision>[\w.-]+))?")
_SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}

# Some copies of this data set store plain integers; its nine labels are the CPC sections.
KNOWN_LABEL_NAMES = {"ccdv/patent-classification": {"label": tuple(SECTIONS.values())}}


@dataclass(frozen=True)
class Source:
    """Splits of rows under one name.

    :param columns: of the files, and the roles that columns were recognised for.
    :param names: the label names of integer columns.
    :param ignored: files that were not read.
    :param tables: the files, where there are any.
    :param undivided: one file without splits, whose rows stand under ``train``.
    """

    name: str
    columns: tuple[str, ...]
    splits: Mapping[str, Callable[[], Iterator[Row]]]
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    undivided: bool = False

    @property
    def recognised(self) -> tuple[str, ...]:
        """What was recognised of each file, a line each."""
        return tuple(table.recognised for table in self.tables)

    @property
    def notes(self) -> tuple[str, ...]:
        """After the rows were read, what of them may have been read wrongly, a line each."""
        return tuple(note for table in self.tables for note in table.notes)


def open_source(spec: str, options: TableOptions = RECOGNISED) -> Source:
    """Open what ``data`` names: ``sample``, a file, a folder of splits, or a hub data set.

    A hub data set is ``owner/name``, ``owner/name:config`` or ``owner/name:config@revision``;
    a local folder in the hub's layout (a README.md that lists configs) works the same way.

    :param options: what overrules the recognition of its tables.
    :raises DataError: if nothing of that name can be read, or an option does not fit it.
    """
    if spec == "sample":
        return _local_folder(sample_folder(), options, "sample")
    local = _local(spec, options)
    if local is not None:
        return local
    match = _HUB.fullmatch(spec)
    if match is None or is_table(Path(spec)):
        raise DataError(
            f"no such data: '{spec}'. Give an existing file ({', '.join(TABLE_SUFFIXES)}), "
            "a folder with train/validation/test files, a hub data set such as "
            "ccdv/patent-classification:abstract, or 'sample'."
        )
    return _open_hub(match["repo"], match["config"], match["revision"], options)


def _local(spec: str, options: TableOptions) -> Source | None:
    """A file or folder named by ``spec``, or by its part before a config; None if neither."""
    if _exists(spec):
        path = Path(spec)
        if path.is_file():
            return _local_file(path, options)
        if _has_configs(path):
            return _open_hub(spec, None, None, options)
        return _local_folder(path, options)
    name, _, config = spec.rpartition(":")
    if not _exists(name):
        return None
    if not (Path(name).is_dir() and _has_configs(Path(name))):
        raise DataError(
            f"'{name}' has no configs, so '{config}' cannot be one of them (data {spec}); "
            "leave it out.",
            setting="data",
        )
    return _open_hub(name, config, None, options)


def _exists(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except (OSError, ValueError):  # too long, or a character that no path has
        return False


def sample_folder() -> Path:
    """The folder of the sample corpus that is part of the package."""
    return Path(str(resources.files("patclass") / "sample"))


def _local_file(path: Path, options: TableOptions) -> Source:
    table = open_table(path, options)
    return Source(
        path.name, tuple(table.names), {"train": table.rows}, tables=(table,), undivided=True
    )


def _local_folder(folder: Path, options: TableOptions, name: str | None = None) -> Source:
    files = sorted(path for path in folder.iterdir() if is_table(path) and path.suffix != ".txt")
    found: dict[str, Path] = {}
    for split in SPLITS:
        matches = [path for path in files if _names_split(path, split)]
        if len(matches) > 1:
            raise DataError(
                f"{folder} has {len(matches)} files for '{split}': "
                f"{', '.join(path.name for path in matches)}; keep one of them there."
            )
        if matches and matches[0] in found.values():
            raise DataError(f"{matches[0]} is named for two splits; name it for one of them.")
        if matches:
            found[split] = matches[0]
    if "train" not in found and "test" not in found:
        raise DataError(
            f"{folder} has no train or test file; name them e.g. train.csv, validation.csv, "
            f"test.csv ({', '.join(TABLE_SUFFIXES)})."
        )
    tables = {split: open_table(path, options) for split, path in found.items()}
    columns = dict.fromkeys(name for table in tables.values() for name in table.names)
    return Source(
        name or folder.name,
        tuple(columns),
        {split: table.rows for split, table in tables.items()},
        ignored=tuple(path.name for path in files if path not in found.values()),
        tables=tuple(tables.values()),
    )


def _names_split(path: Path, split: str) -> bool:
    words = re.split(r"[^a-z]+", stem_of(path).lower())
    return any(word in words for word in _SPLIT_WORDS[split])


def _has_configs(folder: Path) -> bool:
    readme = folder / "README.md"
    if not readme.is_file():
        return False
    head = readme.read_text(encoding="utf-8", errors="replace")[:20_000]
    return head.startswith("---") and re.search(r"^configs:", head, re.MULTILINE) is not None


def _open_hub(repo: str, config: str | None, revision: str | None, options: TableOptions) -> Source:
    """Open a data set of the hub, or a local folder in the hub's layout.

    :param options: the columns of roles; there is no file that another option could apply to.
    :raises DataError: if it or its config does not exist or cannot be reached, or an option does
        not fit it.
    """
    from datasets import ClassLabel  # takes a second to import

    options.check("a hub data set", ())
    splits = _load_hub(repo, config, revision)
    found = {split: splits[split] for split in SPLITS if split in splits}
    if not found:
        raise DataError(f"{repo} has no split train, validation or test, only {list(splits)}.")
    features = next(iter(found.values())).features
    names = {
        column: tuple(feature.names)
        for column, feature in features.items()
        if isinstance(feature, ClassLabel)
    }
    stated = options.columns
    check_stated(repo, list(features), stated)
    roles = columns_by_role(list(features), stated)
    name = repo + (f":{config}" if config else "") + (f"@{revision}" if revision else "")
    return Source(
        name,
        tuple(dict.fromkeys((*features, *roles))),
        {split: partial(_hub_rows, dataset, roles, stated) for split, dataset in found.items()},
        names or KNOWN_LABEL_NAMES.get(repo, {}),
        tuple(split for split in splits if split not in found),
    )


def _load_hub(repo: str, config: str | None, revision: str | None) -> "DatasetDict":
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    try:
        return load_dataset(repo, config, revision=revision)
    except DatasetNotFoundError as problem:
        raise DataError(
            f"data set '{repo}' is not on the hub or not open to you: {problem} "
            "If it is gated, accept its terms and set HF_TOKEN."
        ) from problem
    except ValueError as problem:  # unknown config; the message lists the configs there are
        raise DataError(f"cannot open '{repo}' with config '{config}': {problem}") from problem
    except DatasetsError as problem:
        raise DataError(f"'{repo}' holds files that cannot be read: {problem}") from problem
    except (OSError, RuntimeError) as problem:
        raise DataError(
            f"cannot load '{repo}': {problem}. Check the network, or give a local file or folder."
        ) from problem


def _hub_rows(
    dataset: "Dataset", roles: Mapping[str, str], stated: Collection[str]
) -> Iterator[Row]:
    for number, fields in enumerate(dataset, start=1):
        row = Row(number, dict(fields))
        add_roles(row.fields, roles, stated)
        yield row
