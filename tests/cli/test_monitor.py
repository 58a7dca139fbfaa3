"""``patclass monitor``."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle.test_version1 import downgrade
from helpers import Cli
from patclass.bundle import Bundle, read_bundle
from patclass.bundle.layout import LAYOUT
from patclass.bundle.manifest import write_manifest
from patclass.store.database import locate_store
from patclass.store.predictions import PredictionRow, PredictionStore
from store_rows import ID, prediction

WINDOW = 60


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """The small bundle, beside the data that it was trained on."""
    shutil.copytree(bundle.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / bundle.name


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def usual(opened: Bundle, number: int) -> PredictionRow:
    """An answer like those of the reference."""
    reference = opened.reference
    assert reference is not None
    (level,) = reference.levels
    place = number % len(reference.chars)
    label = reference.codes[level][reference.answers[level][place]]
    share = float(reference.confidences[level][place])
    return prediction(
        number,
        **{"version": opened.fingerprint, "level": level, "label": label, "confidence": share},
        **{"levels": {level: (label, share)}, "chars": int(reference.chars[place])},
        **{name: float(getattr(reference, name)[place]) for name in ("unseen", "distance")},
    )


def keep(store: Path, rows: list[PredictionRow]) -> None:
    database = locate_store(store, {})
    PredictionStore(database).add(rows)
    database.close()


def without_reference(folder: Path) -> Path:
    """The bundle as it was before there were references."""
    (folder / LAYOUT.reference).unlink()
    (folder / LAYOUT.manifest).unlink()
    write_manifest(folder)
    return folder


def test_usual_answers_make_a_page_and_end_with_0(cli: Cli, bundle: Path, store: Path):
    opened = read_bundle(bundle)
    keep(store, [usual(opened, number) for number in range(WINDOW)])
    page = store.with_name("page.html")
    done = cli("monitor", "report", bundle, "--store", store, "--window", WINDOW, "-o", page)
    assert (done.code, done.out) == (0, f"{page}: as usual\n")
    assert opened.fingerprint in page.read_text(encoding="utf-8")


def test_a_shift_is_named_and_ends_with_1(cli: Cli, bundle: Path, store: Path):
    opened = read_bundle(bundle)
    usual_rows = [usual(opened, number) for number in range(WINDOW)]
    odd = [
        replace(row, id=ID(WINDOW + number), chars=9000, distance=40.0)
        for number, row in enumerate(usual_rows)
    ]
    keep(store, [*usual_rows, *odd])
    page = store.with_name("page.html")
    done = cli("monitor", "report", bundle, "--store", store, "--window", WINDOW, "-o", page)
    assert (done.code, done.out) == (1, f"{page}: shifted: length, distance\n")
    assert "Shifted" in page.read_text(encoding="utf-8")


def test_too_few_answers_are_said(cli: Cli, bundle: Path, store: Path):
    keep(store, [usual(read_bundle(bundle), number) for number in range(WINDOW - 1)])
    page = store.with_name("page.html")
    done = cli("monitor", "report", bundle, "--store", store, "--window", WINDOW, "-o", page)
    assert done.code == 2
    assert "has not yet 60 answers" in done.err
    assert not page.exists()


@pytest.mark.parametrize("flags", [["--window", "10"], ["--windows", "0"], ["--nosuch"]])
def test_what_cannot_be_meant_ends_with_2(cli: Cli, bundle: Path, flags: list[str]):
    assert cli("monitor", "report", bundle, *flags).code == 2


def test_without_a_reference_the_way_to_one_is_named(cli: Cli, copy: Path, store: Path):
    done = cli("monitor", "report", without_reference(copy), "--store", store)
    assert done.code == 2
    assert "patclass monitor reference" in done.err


def test_a_bundle_gets_the_reference_of_its_training(cli: Cli, copy: Path):
    expected = read_bundle(copy).reference
    old = read_bundle(without_reference(copy))
    assert old.reference is None
    version = old.fingerprint
    golden = (copy / LAYOUT.golden).read_bytes()
    done = cli("monitor", "reference", copy, "--data", copy.parent)
    assert done.code == 0, done.err
    assert done.out == f"{copy}: reference of 18 validation rows\n"
    opened = read_bundle(copy)
    assert opened.verify("cpu") < 1e-4
    assert (copy / LAYOUT.golden).read_bytes() == golden
    found = opened.reference
    assert found is not None
    assert expected is not None
    assert found.chars.tolist() == expected.chars.tolist()
    assert found.unseen.tolist() == expected.unseen.tolist()
    assert np.allclose(found.distance, expected.distance, atol=1e-3)
    assert found.answers["section"].tolist() == expected.answers["section"].tolist()
    assert found.accuracy == pytest.approx(expected.accuracy)
    assert opened.fingerprint != version


def test_a_bundle_of_format_1_stays_one(cli: Cli, copy: Path, tmp_path: Path):
    (copy / LAYOUT.reference).unlink()
    old = downgrade(copy, tmp_path / "old")
    done = cli("monitor", "reference", old, "--data", tmp_path)
    assert done.code == 0, done.err
    assert json.loads((old / LAYOUT.manifest).read_text())["version"] == 1
    opened = read_bundle(old)
    assert opened.reference is not None
    assert opened.verify("cpu") < 1e-4


def test_an_altered_bundle_gets_none(cli: Cli, copy: Path):
    (copy / LAYOUT.card).write_text("another card", encoding="utf-8")
    done = cli("monitor", "reference", copy, "--data", copy.parent)
    assert done.code == 2
    assert LAYOUT.card in done.err
