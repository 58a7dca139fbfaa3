"""Settings of a training run, used again for other data."""

from patclass.core.settings import DataSettings, data_like


def test_corrections_of_a_table_are_kept_for_the_same_data_only():
    stored = DataSettings(data="a.csv", codes="CPC", test_rows=5)
    kept = data_like(stored, {"data": "a.csv"})
    assert (kept.codes, kept.test_rows) == ("CPC", None)
    assert data_like(stored, {"data": "b.csv"}).codes is None
    assert data_like(stored, {"data": "b.csv", "codes": "IPC"}).codes == "IPC"
    assert data_like(stored, {"data": None}) == stored
