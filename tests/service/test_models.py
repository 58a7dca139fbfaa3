"""Models are verified on loading, and reloaded all together or not at all."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from patclass.bundle.description import LAYOUT
from patclass.bundle.manifest import write_manifest
from patclass.core.errors import BundleError, ConfigError, PatclassError
from patclass.core.files import file_sha256
from patclass.service import models as module
from patclass.service.models import DEFAULT, Models, load_model, parse_places
from service_process import TEXT


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a bundle, so that it can be changed."""

    def make(name: str) -> Path:
        return Path(shutil.copytree(exported, tmp_path / name))

    return make


def flip(path: Path) -> None:
    """Flip one bit of a file, like a faulty disk."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def touch(folder: Path) -> None:
    """Change the version of a bundle without changing its predictions."""
    with (folder / LAYOUT.card).open("a", encoding="utf-8") as card:
        card.write("\nAnother edition.\n")
    (folder / LAYOUT.manifest).unlink()
    write_manifest(folder)


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ((), {DEFAULT: None}),
        (("final",), {DEFAULT: "final"}),
        (("shipped",), {DEFAULT: "shipped"}),
        (("cpc=final",), {"cpc": "final"}),
        (("cpc=final", "mine=other"), {"cpc": "final", "mine": "other"}),
        (("mine=other", "final"), {"mine": "other", DEFAULT: "final"}),
        (("cpc=/models/a=b",), {"cpc": "/models/a=b"}),
        (("a=same", "b=same"), {"a": "same", "b": "same"}),
    ],
)
def test_a_model_is_named_or_called_default(given: tuple[str, ...], places: dict[str, str | None]):
    found = parse_places(given)
    assert found == places
    assert list(found) == list(places)


@pytest.mark.parametrize(
    ("given", "name"),
    [(("a", "b"), DEFAULT), (("x=a", "x=b"), "x"), (("a", "default=b"), DEFAULT)],
)
def test_two_models_of_the_same_name_are_refused(given: tuple[str, ...], name: str):
    with pytest.raises(ConfigError, match=f"^model {given[1]}: there are two models '{name}'"):
        parse_places(given)


def test_a_loaded_model_has_its_api_description(exported: Path):
    model = load_model("mine", exported)
    assert (model.name, model.folder) == ("mine", exported)
    assert model.version == file_sha256(exported / LAYOUT.manifest)[:12]
    assert model.engine == "openvino, float32"
    assert model.tokens_per_second > 0
    assert model.classifier.classify([TEXT])[0].level in model.classifier.tree.levels


def test_a_torch_bundle_is_loaded_too(tree_bundle: Path):
    assert load_model("plain", tree_bundle, "cpu").engine == "torch"


@pytest.mark.parametrize(
    "name", ["engine/model.bin", "engine/model.xml", "tokenizer.json", "neighbours.safetensors"]
)
def test_a_flipped_bit_is_detected_and_its_file_named(copy: Callable[[str], Path], name: str):
    folder = copy("model")
    flip(folder / name)
    with pytest.raises(BundleError, match=f"{name} was altered"):
        load_model("mine", folder)


@pytest.mark.parametrize("name", ["engine/model.bin", LAYOUT.golden, "conformal.safetensors"])
def test_a_missing_file_is_named(copy: Callable[[str], Path], name: str):
    folder = copy("model")
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        load_model("mine", folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "engine/model.xml", LAYOUT.golden])
def test_a_garbage_file_with_a_matching_hash_is_detected(copy: Callable[[str], Path], name: str):
    folder = copy("model")
    (folder / name).write_text("garbage", encoding="utf-8")
    (folder / LAYOUT.manifest).unlink()
    write_manifest(folder)
    with pytest.raises(PatclassError, match=name):
        load_model("mine", folder)


def test_a_bundle_that_does_not_reproduce_its_golden_logits_is_refused(
    copy: Callable[[str], Path],
):
    folder = copy("model")
    golden = json.loads((folder / LAYOUT.golden).read_text(encoding="utf-8"))
    golden["logits"][0][0] += 1
    (folder / LAYOUT.golden).write_text(json.dumps(golden), encoding="utf-8")
    (folder / LAYOUT.manifest).unlink()
    write_manifest(folder)
    with pytest.raises(BundleError, match="does not answer as it did when it was saved"):
        load_model("mine", folder)


def test_the_version_depends_on_the_contents_and_not_the_name(
    exported: Path, copy: Callable[[str], Path]
):
    folder = copy("model")
    first = load_model("mine", folder).version
    assert load_model("other", exported).version == first
    touch(folder)
    second = load_model("mine", folder).version
    assert second != first
    assert len(second) == 12


def test_nothing_is_ready_before_it_is_loaded(exported: Path):
    models = Models({"a": str(exported)})
    assert not models.ready
    assert models.loaded() == ()
    assert models.names == ("a",)
    with pytest.raises(ConfigError, match="no model 'a'"):
        models.get(None)


def test_the_first_model_is_the_default(exported: Path):
    models = Models({"mine": str(exported), "other": str(exported)})
    loaded = models.load()
    assert models.ready
    assert [model.name for model in loaded] == ["mine", "other"]
    assert models.loaded() == loaded
    assert models.get(None) is models.get("mine") is loaded[0]
    assert models.get("other") is loaded[1]
    with pytest.raises(ConfigError, match="no model 'third'; there are mine, other"):
        models.get("third")


def test_the_environment_sets_the_default_model(exported: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATCLASS_MODEL", str(exported))
    (model,) = Models({DEFAULT: None}).load()
    assert model.folder == exported


def test_new_bundles_replace_old_ones_and_running_requests_continue(copy: Callable[[str], Path]):
    folder = copy("model")
    models = Models({DEFAULT: str(folder)})
    (old,) = models.load()
    touch(folder)
    (new,) = models.load()
    assert models.get(None) is new
    assert new.version != old.version
    # A request that started with the old model finishes with it.
    assert old.classifier.classify([TEXT]) == new.classifier.classify([TEXT])


@pytest.mark.parametrize("broken", [0, 1])
def test_if_one_of_two_reloads_fails_neither_model_changes(
    copy: Callable[[str], Path], broken: int
):
    folders = [copy("first"), copy("second")]
    models = Models({"a": str(folders[0]), "b": str(folders[1])})
    before = models.load()
    touch(folders[1 - broken])
    flip(folders[broken] / "engine" / "model.bin")
    with pytest.raises(BundleError, match=r"engine/model\.bin was altered"):
        models.load()
    assert models.ready
    assert all(found is old for found, old in zip(models.loaded(), before, strict=True))
    assert models.get("a").classifier.classify([TEXT])
    flip(folders[broken] / "engine" / "model.bin")
    after = models.load()
    assert [old.version == new.version for old, new in zip(before, after, strict=True)] == [
        broken == 0,
        broken == 1,
    ]


def test_a_failed_first_load_leaves_nothing_loaded(exported: Path, copy: Callable[[str], Path]):
    models = Models({"a": str(exported), "b": str(copy("gone") / "nosuch")})
    with pytest.raises(BundleError, match="is not a bundle"):
        models.load()
    assert not models.ready
    assert models.loaded() == ()


def test_only_one_thread_loads_models_at_a_time(exported: Path, monkeypatch: pytest.MonkeyPatch):
    inside, most, plain = 0, 0, module.load_model

    def counted(*arguments: object) -> object:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            return plain(*arguments)
        finally:
            inside -= 1

    monkeypatch.setattr(module, "load_model", counted)
    models = Models({DEFAULT: str(exported)})
    threads = [threading.Thread(target=models.load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert models.ready
    assert most == 1
