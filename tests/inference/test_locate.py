"""Which bundle answers: the one named, PATCLASS_MODEL's, final_model, the shipped one."""

from pathlib import Path

import pytest

from patclass.bundle.layout import LAYOUT
from patclass.errors import BundleError
from patclass.inference import load, locate
from patclass.inference.locate import SHIPPED, VARIABLE

NOTHING: dict[str, str] = {}
NAMED = {VARIABLE: "named_model"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def shipped(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the bundle inside the package."""
    package = here / "package"
    make(package / "shipped")
    monkeypatch.setattr(locate.resources, "files", lambda name: package)
    return package / "shipped"


@pytest.fixture
def _nothing_shipped(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate.resources, "files", lambda name: here / "package")


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / LAYOUT.manifest).touch()
    return folder


def test_the_one_that_is_named_comes_first(here: Path, shipped: Path):
    make(here / "final_model")
    assert locate.locate("mine", NAMED) == Path("mine")
    assert locate.locate(Path("mine"), NAMED) == Path("mine")


def test_then_that_of_the_environment(here: Path, shipped: Path):
    make(here / "final_model")
    assert locate.locate(None, NAMED) == Path("named_model")


def test_then_the_one_trained_here(here: Path, shipped: Path):
    make(here / "final_model")
    assert locate.locate(None, NOTHING) == Path("final_model")
    assert locate.locate(None, {VARIABLE: ""}) == Path("final_model")


def test_then_the_shipped_one(here: Path, shipped: Path):
    assert locate.locate(None, NOTHING) == shipped
    (here / "final_model").mkdir()  # an unfinished one does not answer
    assert locate.locate(None, NOTHING) == shipped


def test_the_shipped_one_can_be_named(here: Path, shipped: Path):
    make(here / "final_model")
    assert locate.locate(SHIPPED, NAMED) == shipped
    assert locate.locate(None, {VARIABLE: SHIPPED}) == shipped


def test_the_environment_of_the_process_is_the_default(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "from_outside")
    assert locate.locate() == Path("from_outside")


@pytest.mark.usefixtures("_nothing_shipped")
@pytest.mark.parametrize("model", [None, SHIPPED])
def test_an_installation_without_a_shipped_model_says_what_to_do(model: str | None):
    with pytest.raises(BundleError, match=rf"no shipped model: train one .*{VARIABLE}"):
        locate.locate(model, NOTHING)


@pytest.mark.usefixtures("_nothing_shipped")
def test_a_name_is_not_looked_at_before_it_is_read(here: Path):
    assert locate.locate("gone", NOTHING) == Path("gone")
    with pytest.raises(BundleError, match="gone is not a bundle"):
        load("gone")


def test_loading_without_a_name_loads_what_is_trained_here(here: Path, bundle: Path, shipped: Path):
    (here / "final_model").symlink_to(bundle)
    assert load(device="cpu").classes_ == ["A", "C", "H"]
