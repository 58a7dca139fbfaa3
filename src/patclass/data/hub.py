"""Hub data sets through the ``datasets`` library. Knows no labels beyond a ClassLabel's names."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial

from datasets import ClassLabel, Dataset, DatasetDict, load_dataset
from datasets.exceptions import DatasetNotFoundError, DatasetsError

from patclass.core.errors import DataError
from patclass.cpc.scheme import SECTIONS
from patclass.data.columns import add_roles, columns_by_role
from patclass.data.examples import SPLITS
from patclass.data.sources import Source
from patclass.data.table import RECOGNISED, Row, TableOptions, check_stated

# Some copies of this data set store plain integers; its nine labels are the CPC sections.
KNOWN_LABEL_NAMES = {"ccdv/patent-classification": {"label": tuple(SECTIONS.values())}}


def open_hub(
    repo: str, config: str | None, revision: str | None, options: TableOptions = RECOGNISED
) -> Source:
    """Open a data set of the hub, or a local folder in the hub's layout.

    :param options: the columns of roles; there is no file that another option could apply to.
    :raises DataError: if it or its config does not exist or cannot be reached, or an option does
        not fit it.
    """
    options.check("a hub data set", ())
    splits = _load(repo, config, revision)
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
        {split: partial(_rows, dataset, roles, stated) for split, dataset in found.items()},
        names or KNOWN_LABEL_NAMES.get(repo, {}),
        tuple(split for split in splits if split not in found),
    )


def _load(repo: str, config: str | None, revision: str | None) -> DatasetDict:
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


def _rows(dataset: Dataset, roles: Mapping[str, str], stated: Collection[str]) -> Iterator[Row]:
    for number, fields in enumerate(dataset, start=1):
        row = Row(number, dict(fields))
        add_roles(row.fields, roles, stated)
        yield row
