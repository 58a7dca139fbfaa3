"""Settings of a training run, used again for other data."""

from pathlib import Path

import pytest

from patclass.core.settings import DataSettings, data_like, is_same_data


def test_corrections_of_a_table_are_kept_for_the_same_data_only():
    stored = DataSettings(data="a.csv", codes="CPC", test_rows=5)
    kept = data_like(stored, {"data": "a.csv"})
    assert (kept.codes, kept.test_rows) == ("CPC", None)
    assert data_like(stored, {"data": "b.csv"}).codes is None
    assert data_like(stored, {"data": "b.csv", "codes": "IPC"}).codes == "IPC"
    assert data_like(stored, {"data": None}) == stored


def test_the_same_data_may_be_named_by_another_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("text\n")
    Path("b.csv").write_text("text\n")
    stored = DataSettings(data="a.csv", abstract="Kurzfassung", encoding="cp1252")
    for same in ("a.csv", "./a.csv", str(tmp_path / "a.csv")):
        assert data_like(stored, {"data": same}).abstract == "Kurzfassung", same
    assert data_like(stored, {"data": "./b.csv"}).encoding is None


@pytest.mark.parametrize("name", ["gone.csv", "sample", "owner/name:config", "a\x00"])
def test_data_that_is_no_path_is_the_same_by_its_name_alone(name: str, tmp_path: Path):
    assert is_same_data(name, name)
    assert not is_same_data(name, str(tmp_path))
