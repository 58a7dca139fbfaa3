from pathlib import Path

import pytest

from patclass.bundle import read_bundle
from patclass.core.errors import DataError
from patclass.scale.rates import keep_rates, measure_rates, read_rates


def test_rates_of_a_bundle_are_measured_and_kept(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened = read_bundle(bundle)
    with pytest.raises(DataError, match="run 'patclass bench' first"):
        read_rates(opened)
    rates = measure_rates(opened, workers=1, rounds=2)
    most = opened.description.text.max_tokens
    assert [rate.tokens for rate in rates.documents] == [16, 32, most]
    assert all(0 < rate.low <= rate.seconds <= rate.high for rate in rates.documents)
    assert rates.memory > 2**20
    keep_rates(rates)
    assert read_rates(opened) == rates
    assert read_rates(None, keep_rates(rates, tmp_path / "rates.json")) == rates


def test_a_file_without_rates_is_refused(tmp_path: Path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="it holds no rates"):
        read_rates(None, tmp_path / "x.json")
    with pytest.raises(DataError, match="No such file"):
        read_rates(None, tmp_path / "y.json")
