"""A folder of versions, and the pointer to the champion."""

import json
import threading
from pathlib import Path

import pytest

from patclass.bundle import read_bundle
from patclass.bundle.registry import POINTER, Registry, champion_in
from patclass.errors import BundleError
from patclass.inference.locate import locate


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def fake(folder: Path) -> None:
    """What counts as a bundle for a registry, which does not look inside."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")


def test_versions_are_numbered_and_copied_whole(registry: Registry, bundle: Path):
    assert registry.folders() == []
    assert [registry.add(bundle).name for _ in range(2)] == ["0001", "0002"]
    assert sorted(path.name for path in registry.folder.iterdir()) == ["0001", "0002"]
    assert read_bundle(registry.folders()[0]).fingerprint == read_bundle(bundle).fingerprint


def test_a_number_is_not_used_twice(registry: Registry):
    fake(registry.folder / "0007")
    (registry.folder / "0009.run").mkdir()
    assert [registry.next_folder().name for _ in range(2)] == ["0010", "0011"]  # made for each
    assert [path.name for path in registry.folders()] == ["0007"]


def test_the_pointer_leads_to_the_champion(registry: Registry):
    for name in ("0001", "0002"):
        fake(registry.folder / name)
        registry.promote(name)
    registry.promote("0002")  # what is champion already stays it
    assert registry.champion() == registry.folder / "0002"
    assert registry.pointer().before == ("0001",)
    assert champion_in(registry.folder) == locate(registry.folder) == registry.champion()


def test_what_was_compared_with_another_champion_is_not_promoted(registry: Registry):
    for name in ("0001", "0002", "0003"):
        fake(registry.folder / name)
    registry.promote("0001")
    registry.promote("0002", over="0001")
    with pytest.raises(BundleError, match="compared with 0001, but 0002 has become"):
        registry.promote("0003", over="0001")
    assert registry.champion().name == "0002"


def test_another_folder_leads_to_itself(bundle: Path):
    assert champion_in(bundle) == locate(bundle) == bundle


def test_rolling_back_goes_back_champion_by_champion(registry: Registry):
    for name in ("0001", "0002", "0003"):
        fake(registry.folder / name)
        registry.promote(name)
    for name in ("0002", "0001"):
        registry.roll_back(name)
        assert registry.champion().name == name
    with pytest.raises(BundleError, match="0001 is the first champion there was"):
        registry.roll_back("0001")


def test_only_the_champion_before_this_one_comes_back(registry: Registry):
    for name in ("0001", "0002", "0003"):
        fake(registry.folder / name)
        registry.promote(name)
    with pytest.raises(BundleError, match="another version than 0001"):
        registry.roll_back("0001")
    assert registry.champion().name == "0003"


def test_a_champion_that_is_gone_does_not_come_back(registry: Registry):
    fake(registry.folder / "0002")
    registry.promote("0001")
    registry.promote("0002")
    with pytest.raises(BundleError, match="0001 is gone"):
        registry.roll_back("0001")
    assert registry.champion().name == "0002"


def test_without_a_champion_the_way_to_one_is_told(registry: Registry):
    assert not registry.exists
    with pytest.raises(BundleError, match="patclass models promote FOLDER"):
        registry.champion()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"champion": "../elsewhere"}', '{"champion": "0001", "more": 1}']
)
def test_a_damaged_pointer_is_refused(registry: Registry, content: str):
    registry.folder.mkdir()
    (registry.folder / POINTER).write_text(content)
    with pytest.raises(BundleError, match="is damaged"):
        champion_in(registry.folder)


def test_who_reads_while_it_is_switched_sees_one_or_the_other(registry: Registry):
    for name in ("0001", "0002"):
        fake(registry.folder / name)
    registry.promote("0001")
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(registry.champion().name)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        registry.promote(f"000{1 + number % 2}")
    stop.set()
    reader.join()
    assert seen <= {"0001", "0002"}
    assert json.loads((registry.folder / POINTER).read_text())["champion"] == "0002"
