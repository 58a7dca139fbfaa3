"""Jobs for the tests of scale: patents in several files, and what is asked of them."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from conftest import patent_rows
from patclass.bundle import read_bundle
from patclass.data.table import TableOptions
from patclass.inference import Options
from patclass.scale.job import Request
from patclass.scale.worker import WorkerSetup, versions

# Rows of the three files that ``write_input`` makes; their ids go from p0 on.
ROWS = {"a.parquet": 150, "b.csv": 130, "deep/c.jsonl": 90}


def write_input(folder: Path, more: int = 1) -> list[str]:
    """Files of three formats, so many times as many rows; return the ids in their order."""
    ids: list[str] = []
    for name, count in ROWS.items():
        rows = [
            {"id": f"p{len(ids) + place}", "title": row["title"], "abstract": row["abstract"]}
            for place, row in enumerate(patent_rows(count * more, seed=len(ids)))
        ]
        ids += [row["id"] for row in rows]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("parquet"):
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=40)
        elif name.endswith("csv"):
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ids


def request_of(source: Path, bundle: Path, **more: object) -> Request:
    """What is asked, with the defaults of the command line."""
    usual = {
        "source": str(source),
        "bundle": read_bundle(bundle).sha256,
        "options": asdict(Options()),
        "text": None,
        "columns": None,
        "table": asdict(TableOptions()),
        "format": ".parquet",
    }
    return Request(**usual | more)


def setup_of(folder: Path, bundle: Path, **more: object) -> WorkerSetup:
    """A worker of this process."""
    usual = {"device": "cpu", "versions": versions()}
    return WorkerSetup(folder=str(folder), model=str(bundle), **usual | more)


def ids_of(folder: Path) -> list[str]:
    """The ids of all answers in the order of the parts."""
    parts = sorted(folder.glob("part-*.parquet"))
    return [id for part in parts for id in pq.read_table(part)["id"].to_pylist()]
