"""The rows that the shipped model learns from: both harvests of shared patents in one folder.

    python scripts/shipped_data.py ../shared/data OUT

Of the second harvest, which is mostly of a few subclasses of G, each main subclass keeps a limited
number of rows. Lists of the IPC lack the additional codes of the CPC, so rows from sources that
give these keep their main code, or else their section, alone: what their lists omit says nothing.
"""

import argparse
from pathlib import Path

import pandas as pd

# Rows of one main subclass that are kept of the second harvest.
MOST_ROWS = 500

# Sources of the first harvest whose lists are of the IPC: hardly one has a code of section Y.
IPC_SOURCES = ("LucasLopesSI/PatentClassifierData", "luisedmundo354/patents_ir")

# Rows of the second harvest that are held out for the thresholds of all codes.
HELD_OUT = 1000

COLUMNS = ["id", "title", "abstract", "claims", "main_code", "codes", "section", "year", "source"]

# Characters of claims that are ever read.
CLAIMS = 3000


def main() -> None:
    """Read the arguments and write the three files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("shared", type=Path, help="folder with patents-train.parquet and others")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    first, validation, test, second = (
        pd.read_parquet(args.shared / f"patents-{name}.parquet")
        for name in ("train", "validation", "test", "more-train")
    )
    more = without_ipc_lists(capped(second), second["scheme"] == "IPC")
    held_out = more[more["codes"].map(len) > 1].sample(HELD_OUT, random_state=0)
    train = pd.concat([mixed(first), more.drop(held_out.index)])
    splits = {
        "train": train.sample(frac=1, random_state=0),
        "validation": pd.concat([mixed(validation), held_out]),
        "test": mixed(test),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        rows = rows[COLUMNS].assign(claims=rows["claims"].str.slice(0, CLAIMS))
        rows.to_parquet(args.out / f"{name}.parquet", index=False)
        print(f"{name}: {len(rows):,} rows, {rows['codes'].map(len).gt(1).sum():,} with a list")


def mixed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the first harvest, without the lists that are of the IPC."""
    return without_ipc_lists(rows, rows["source"].isin(IPC_SOURCES))


def capped(rows: pd.DataFrame) -> pd.DataFrame:
    """At most ``MOST_ROWS`` rows of each main subclass; rows without a main code are all kept."""
    shuffled = rows.sample(frac=1, random_state=0)
    place = shuffled.groupby(shuffled["main_code"].str[:4]).cumcount()
    return shuffled[shuffled["main_code"].isna() | (place < MOST_ROWS)].sort_index()


def without_ipc_lists(rows: pd.DataFrame, ipc: "pd.Series[bool]") -> pd.DataFrame:
    """The main code alone, or no code, where a row's list is of the IPC."""
    known = rows["main_code"].map(lambda main: [main], na_action="ignore")
    alone = known.where(known.notna(), pd.Series([[]] * len(rows), index=rows.index))
    codes = alone.where(ipc.reindex(rows.index), rows["codes"])
    return rows.assign(codes=codes)


if __name__ == "__main__":
    main()
