from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import run_script
from patclass.core.errors import ConfigError, DataError, OutputError
from patclass.scale.storage import Storage


def test_files_are_listed_by_name_without_what_is_hidden(tmp_path: Path):
    for name in ("b.csv", "a/z.csv", "_job.json", ".hidden", "_parts/1.json", "a/.x/y.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [file.name for file in Storage.of(str(tmp_path)).files()] == ["a/z.csv", "b.csv"]
    assert Storage.of(str(tmp_path)).files()[1].size == len("b.csv")


def test_a_single_file_is_its_own_only_one(tmp_path: Path):
    path = tmp_path / "b.csv"
    path.write_text("x")
    storage = Storage.of(str(path))
    assert storage.is_file()
    assert [file.name for file in storage.files()] == ["b.csv"]
    with storage.fetched("") as found:
        assert found == path


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_what_is_written_can_be_read_and_listed(tmp_path: Path, prefix: str):
    storage = Storage.of(f"{prefix}{tmp_path}/new/folder")
    assert storage.read("x.json") is None
    assert storage.names("") == set()
    storage.write("deep/x.json", "text")
    assert storage.read("deep/x.json") == b"text"
    assert storage.names("deep") == {"x.json"}
    assert (tmp_path / "new/folder/deep/x.json").read_text() == "text"


def test_the_end_of_a_parquet_file_tells_its_rows(tmp_path: Path):
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "x.parquet")
    assert Storage.of(str(tmp_path)).parquet_rows("x.parquet") == 3
    assert Storage.of(str(tmp_path / "x.parquet")).parquet_rows("x.parquet") == 3
    (tmp_path / "y.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"y\.parquet of .* is not a readable Parquet file"):
        Storage.of(str(tmp_path)).parquet_rows("y.parquet")


def test_a_file_that_fails_while_it_is_written_is_not_there(tmp_path: Path):
    storage = Storage.of(str(tmp_path))

    def write() -> None:
        with storage.written("x") as path:
            path.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="missing does not exist"):
        Storage.of(str(tmp_path / "missing")).files()


@pytest.mark.parametrize("url", ["ftp://host/folder", "nonsense://x"])
def test_a_url_of_an_unknown_kind_is_refused_with_those_that_are_known(url: str):
    with pytest.raises(ConfigError, match=r"s3://bucket/folder"):
        Storage.of(url)


def test_a_folder_without_permission_is_one_clear_error(tmp_path: Path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    script = """
import os, sys
from patclass.core.errors import OutputError
from patclass.scale.storage import Storage
try:
    os.setuid(65534)
except OSError:
    sys.exit(77)
try:
    Storage.of(sys.argv[1]).write("x", "y")
except OutputError as problem:
    print(problem)
"""
    tmp_path.chmod(0o755)
    if "Permission" not in run_script(script, folder / "deeper"):
        pytest.skip("the folders above cannot be entered")


def test_an_output_error_names_the_file(tmp_path: Path):
    (tmp_path / "x").write_text("a file, no folder")
    with pytest.raises(OutputError, match="cannot write"):
        Storage.of(str(tmp_path)).write("x/y", "z")
