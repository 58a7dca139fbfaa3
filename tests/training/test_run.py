"""The whole path at small size: data to verified bundle, for an encoder and a decoder."""

from pathlib import Path

from helpers import tiny_run
from patclass.bundle import read_bundle
from patclass.inference import load


def test_a_run_ends_in_a_bundle_that_answers(tiny_base: Path, patents: Path, tmp_path: Path):
    result = tiny_run(tiny_base, patents, tmp_path / "model")
    assert result.bundle == tmp_path / "model"
    assert result.report is not None
    assert result.report.model.accuracy > 0.6
    assert result.report.majority.accuracy < 0.5
    assert read_bundle(result.bundle).verify("cpu") < 1e-4
    classifier = load(result.bundle, "cpu")
    assert classifier.classes_ == ["A", "C", "H"]
    assert classifier.predict(["antenna circuit voltage inductor"]) == ["H"]
