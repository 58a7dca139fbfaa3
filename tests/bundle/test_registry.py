"""Which bundle is loaded: the named one, that of PATCLASS_MODEL, or else the shipped one."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import Timeout

from patclass.bundle import read_bundle
from patclass.bundle import registry as registry_module
from patclass.bundle.description import LAYOUT
from patclass.bundle.registry import POINTER, SHIPPED, VARIABLE, Registry, champion_in, locate
from patclass.core.errors import BundleError, OutputError
from patclass.inference import load


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def fake_bundle(folder: Path) -> None:
    """The minimum that a registry accepts as a bundle; it does not read the contents."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")


def test_versions_are_numbered_and_copied_completely(registry: Registry, bundle: Path):
    assert registry.folders() == []
    assert [registry.add(bundle).name for _ in range(2)] == ["0001", "0002"]
    assert sorted(path.name for path in registry.folder.iterdir()) == ["0001", "0002"]
    assert read_bundle(registry.folders()[0]).fingerprint == read_bundle(bundle).fingerprint


def test_version_numbers_are_not_reused(registry: Registry):
    fake_bundle(registry.folder / "0007")
    (registry.folder / "0009.run").mkdir()
    assert [registry.next_folder().name for _ in range(2)] == ["0010", "0011"]  # each is created
    assert [path.name for path in registry.folders()] == ["0007"]


def test_the_pointer_names_the_champion(registry: Registry):
    for name in ("0001", "0002"):
        fake_bundle(registry.folder / name)
        registry.promote(name)
    registry.promote("0002")  # already the champion
    assert registry.champion() == registry.folder / "0002"
    assert registry.pointer().before == ("0001",)
    assert champion_in(registry.folder) == locate(registry.folder) == registry.champion()


def test_a_version_compared_with_another_champion_is_not_promoted(registry: Registry):
    for name in ("0001", "0002", "0003"):
        fake_bundle(registry.folder / name)
    registry.promote("0001")
    registry.promote("0002", over="0001")
    with pytest.raises(BundleError, match="compared with 0001, but 0002 has become"):
        registry.promote("0003", over="0001")
    assert registry.champion().name == "0002"


def test_a_plain_bundle_folder_resolves_to_itself(bundle: Path):
    assert champion_in(bundle) == locate(bundle) == bundle


def test_rollback_restores_champions_one_by_one(registry: Registry):
    for name in ("0001", "0002", "0003"):
        fake_bundle(registry.folder / name)
        registry.promote(name)
    for name in ("0002", "0001"):
        registry.roll_back(name)
        assert registry.champion().name == name
    with pytest.raises(BundleError, match="0001 is the first champion there was"):
        registry.roll_back("0001")


def test_rollback_to_any_other_version_is_refused(registry: Registry):
    for name in ("0001", "0002", "0003"):
        fake_bundle(registry.folder / name)
        registry.promote(name)
    with pytest.raises(BundleError, match="another version than 0001"):
        registry.roll_back("0001")
    assert registry.champion().name == "0003"


def test_rollback_to_a_deleted_champion_is_refused(registry: Registry):
    fake_bundle(registry.folder / "0002")
    registry.promote("0001")
    registry.promote("0002")
    with pytest.raises(BundleError, match="0001 is gone"):
        registry.roll_back("0001")
    assert registry.champion().name == "0002"


def test_without_a_champion_the_error_says_how_to_promote_one(registry: Registry):
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


def test_a_reader_during_a_switch_sees_one_version_or_the_other(registry: Registry):
    for name in ("0001", "0002"):
        fake_bundle(registry.folder / name)
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


NOTHING: dict[str, str] = {}
NAMED = {VARIABLE: "named_model"}


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def shipped(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for the shipped bundle."""
    package = working_folder / "package"
    make(package / "shipped")
    monkeypatch.setattr(registry_module.resources, "files", lambda name: package)
    return package / "shipped"


@pytest.fixture
def _no_shipped_model(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module.resources, "files", lambda name: working_folder / "package")


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / LAYOUT.manifest).touch()
    return folder


def test_an_explicit_name_takes_precedence(working_folder: Path, shipped: Path):
    make(working_folder / "final_model")
    assert registry_module.locate("mine", NAMED) == Path("mine")
    assert registry_module.locate(Path("mine"), NAMED) == Path("mine")


def test_the_environment_comes_second(working_folder: Path, shipped: Path):
    make(working_folder / "final_model")
    assert registry_module.locate(None, NAMED) == Path("named_model")


def test_the_shipped_model_is_the_fallback(working_folder: Path, shipped: Path):
    assert registry_module.locate(None, NOTHING) == shipped
    make(working_folder / "final_model")  # a model trained in this folder does not replace it
    assert registry_module.locate(None, NOTHING) == shipped
    assert registry_module.locate(None, {VARIABLE: ""}) == shipped


def test_a_bundle_is_shown_as_shipped_or_by_its_folder(working_folder: Path, shipped: Path):
    assert registry_module.display_name(shipped) == "shipped"
    assert registry_module.display_name(Path("mine/model")) == "mine/model"


def test_the_shipped_model_can_be_named(working_folder: Path, shipped: Path):
    make(working_folder / "final_model")
    assert registry_module.locate(SHIPPED, NAMED) == shipped
    assert registry_module.locate(None, {VARIABLE: SHIPPED}) == shipped


def test_the_environment_of_the_process_is_the_default(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, "from_outside")
    assert registry_module.locate() == Path("from_outside")


@pytest.mark.usefixtures("_no_shipped_model")
@pytest.mark.parametrize("model", [None, SHIPPED])
def test_an_installation_without_a_shipped_model_suggests_a_remedy(model: str | None):
    with pytest.raises(BundleError, match=rf"no shipped model: train one .*{VARIABLE}"):
        registry_module.locate(model, NOTHING)


@pytest.mark.usefixtures("_no_shipped_model")
def test_a_name_is_checked_only_when_the_bundle_is_opened(working_folder: Path):
    assert registry_module.locate("gone", NOTHING) == Path("gone")
    with pytest.raises(BundleError, match="gone is not a bundle"):
        load("gone")


def test_loading_without_a_name_uses_the_environment(
    working_folder: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, str(bundle))
    assert load(device="cpu").classes_ == ["A", "C", "H"]


HOLD = """
import sys, time
from pathlib import Path
from patclass.bundle.registry import Registry

with Registry(Path(sys.argv[1])).lock("test.lock"):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_excludes_other_processes_until_its_holder_ends(tmp_path: Path):
    registry = Registry(tmp_path)
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(Timeout), registry.lock("test.lock", blocking=False):
            pass
        acquired = threading.Event()

        def wait() -> None:
            with registry.lock("test.lock"):
                acquired.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not acquired.wait(0.3)
        holder.kill()  # the process cannot clean up
        assert acquired.wait(30)
        waiter.join()
    with registry.lock("test.lock", blocking=False):
        pass


def test_a_lock_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"), Registry(tmp_path / "file").lock("test.lock"):
        pass
