import os
from pathlib import Path
from typing import get_args

import pytest

from conftest import SHARED
from patclass.cli.options import flag_of
from patclass.core.config import Settings
from patclass.core.errors import ConfigError
from patclass.core.settings import AnswerSettings, TrainSettings
from patclass.model.tokenizer import TRUNCATIONS
from patclass.service.settings import ServiceSettings


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_apply_when_nothing_is_set():
    assert TrainSettings.load({}, environment={}) == TrainSettings()


def test_flags_override_the_environment_which_overrides_the_file_and_the_defaults(tmp_path: Path):
    file = write(tmp_path, "[fit]\nepochs = 12\nbatch_tokens = 12\nwarmup = 0.12\n")
    environment = {"PATCLASS_TRAIN_BATCH_TOKENS": "13", "PATCLASS_TRAIN_WARMUP": "0.13"}
    defaults = {"checkpoint_steps": 11, "epochs": 11, "batch_tokens": 11, "warmup": 0.11}
    fit = TrainSettings.load({"warmup": 0.14}, file, environment, defaults).fit
    assert (fit.weight_decay, fit.checkpoint_steps, fit.epochs) == (0.01, 11, 12)
    assert (fit.batch_tokens, fit.warmup) == (13, 0.14)


def test_a_file_as_editors_of_windows_save_it_is_read(tmp_path: Path):
    file = tmp_path / "run.toml"
    file.write_bytes(b'\xef\xbb\xbf[data]\r\ndata = "a.csv"\r\n')
    assert TrainSettings.load({}, file, environment={}).data.data == "a.csv"
    file.write_bytes(b"\xef\xbb\xbf[serve]\r\nport = 9100\r\n")
    assert ServiceSettings.load({}, file, environment={}).port == 9100


def test_a_shared_file_with_a_mark_is_read():
    if not SHARED.is_dir():
        pytest.skip("the shared inputs are not on this machine")
    settings = TrainSettings.load({}, SHARED / "cases" / "bom.toml", environment={})
    assert (settings.data.data, settings.data.labels) == ("lab.csv", "section")


def test_every_table_of_the_file_fills_its_group(tmp_path: Path):
    file = write(
        tmp_path,
        '[data]\ndata = "a.csv"\ntrain_rows = 50\n[base]\nbase = "llama-3.2-1b"\n[lora]\nr = 4\n'
        '[fit]\nlearning_rate = 2e-4\n[answer]\ntruncation = "windows"\nindex_rows = 5\n'
        '[output]\noutput = "models/a"\nallow_weak = true\n',
    )
    settings = TrainSettings.load({}, file, environment={})
    assert (settings.data.data, settings.data.train_rows) == ("a.csv", 50)
    assert (settings.base.base, settings.lora.r) == ("llama-3.2-1b", 4)
    assert (settings.fit.learning_rate, settings.output.output) == (2e-4, Path("models/a"))
    assert (settings.answer.truncation, settings.answer.index_rows) == ("windows", 5)
    assert settings.output.allow_weak is True


def test_the_default_components_of_a_bundle():
    answer = TrainSettings().answer
    assert (answer.truncation, answer.linear, answer.index_rows) == ("head", True, 20_000)
    assert (answer.index_titles, answer.embed_base) == (True, False)
    assert TrainSettings().data.min_leaf_rows == 5


def test_the_components_of_a_bundle_can_be_set_by_file_environment_and_flag(tmp_path: Path):
    file = write(tmp_path, "[answer]\nlinear = false\nindex_titles = false\n")
    environment = {"PATCLASS_TRAIN_TRUNCATION": "head+tail", "PATCLASS_TRAIN_MIN_LEAF_ROWS": "9"}
    settings = TrainSettings.load({"index_rows": 0, "embed_base": True}, file, environment)
    answer = settings.answer
    assert (answer.truncation, answer.linear, answer.index_titles) == ("head+tail", False, False)
    assert (answer.index_rows, answer.embed_base) == (0, True)
    assert settings.data.min_leaf_rows == 9


def test_the_truncation_choices_are_those_of_the_tokenizer():
    assert get_args(AnswerSettings.model_fields["truncation"].annotation) == TRUNCATIONS


def test_a_flag_that_is_none_is_not_set(tmp_path: Path):
    file = write(tmp_path, "[lora]\nr = 4\n")
    assert TrainSettings.load({"r": None}, file, environment={}).lora.r == 4


def test_a_flag_that_is_false_or_zero_is_set(tmp_path: Path):
    file = write(tmp_path, "[data]\nseed = 5\n[output]\nallow_weak = true\n")
    settings = TrainSettings.load({"seed": 0, "allow_weak": False}, file, environment={})
    assert (settings.data.seed, settings.output.allow_weak) == (0, False)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False)])
def test_the_environment_gives_values_as_text(text: str, value: bool):
    environment = {"PATCLASS_TRAIN_ALLOW_WEAK": text, "PATH": "/bin", "PATCLASS_OTHER": "1"}
    assert TrainSettings.load({}, environment=environment).output.allow_weak is value


def test_the_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "PATCLASS_TRAIN_EPOCHS", "7")
    assert TrainSettings.load({}).fit.epochs == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[fit]\nepoch = 3\n", r"unknown key 'epoch' in \[fit\] .*run\.toml: .*mean 'epochs'\?"),
        ("[lora]\nalhpa = 3\n", r"unknown key 'alhpa' in \[lora\] .*did you mean 'alpha'\?"),
        ("[lora]\nepochs = 3\n", r"unknown key 'epochs' in \[lora\] .*there are r, alpha, dropout"),
        ("[lora]\nxyzzy = 3\n", r"unknown key 'xyzzy' in \[lora\] .*there are r, alpha, dropout"),
        ("[dta]\nseed = 3\n", r"unknown table '\[dta\]' in .*run\.toml: did you mean 'data'\?"),
        ("[model]\nr = 3\n", r"unknown table '\[model\]' in .*there are data, base, lora, fit"),
        ("[answer]\nindex = 3\n", r"unknown key 'index' in \[answer\] .*mean 'index_rows'\?"),
        ("[data]\nmin_rows = 3\n", r"unknown key 'min_rows' in \[data\] .*mean '\w+'\?"),
        ("[answers]\nlinear = true\n", r"unknown table '\[answers\]' .*did you mean 'answer'\?"),
        ("epochs = 3\n", r"'epochs' stands outside of a table in .*run\.toml; put it in \[fit\]"),
    ],
)
def test_a_misplaced_or_misspelt_name_in_the_file_is_named(
    tmp_path: Path, text: str, expected: str
):
    with pytest.raises(ConfigError, match=expected):
        TrainSettings.load({}, write(tmp_path, text), environment={})


def test_a_value_in_place_of_a_table_is_not_reported_as_an_unknown_table(tmp_path: Path):
    with pytest.raises(ConfigError, match="data") as caught:
        TrainSettings.load({}, write(tmp_path, 'data = "a.csv"\n'), environment={})
    assert "did you mean 'data'" not in str(caught.value)


def test_an_unknown_variable_is_named():
    expected = "unknown environment variable PATCLASS_TRAIN_EPOCH: did you mean 'epochs'"
    with pytest.raises(ConfigError, match=expected):
        TrainSettings.load({}, environment={"PATCLASS_TRAIN_EPOCH": "3"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max_token", r"unknown setting 'max_token': did you mean 'max_tokens'\?"),
        ("xyzzy", r"unknown setting 'xyzzy'; there are data, text, labels"),
    ],
)
def test_an_unknown_flag_is_named(name: str, expected: str):
    with pytest.raises(ConfigError, match=expected):
        TrainSettings.load({name: 3}, environment={})


def test_an_unknown_default_is_named():
    with pytest.raises(ConfigError, match="unknown default of 'epoch': did you mean 'epochs'"):
        TrainSettings.load({}, environment={}, defaults={"epoch": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", "many"),
        ("epochs", 2.5),
        ("r", 513),
        ("dropout", 1.0),
        ("warmup", -0.1),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("max_tokens", 7),
        ("train_rows", 1),
        ("seed", -1),
        ("device", "tpu"),
        ("precision", "float16"),
        ("allow_weak", "perhaps"),
        ("truncation", "tail"),
        ("truncation", ""),
        ("linear", "perhaps"),
        ("index_rows", -1),
        ("index_rows", "many"),
        ("index_titles", 2),
        ("embed_base", "maybe"),
        ("min_leaf_rows", 0),
        ("min_leaf_rows", 1.5),
    ],
)
def test_an_invalid_value_is_reported_with_its_flag(name: str, value: object):
    with pytest.raises(ConfigError) as caught:
        TrainSettings.load({name: value}, environment={})
    assert str(caught.value).startswith(f"{name} {value!r}: expected ")
    flag = f"--{name.replace('_', '-')}"
    assert caught.value.message(flag_of).startswith(f"{flag} {value!r}: expected ")


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay"])
def test_infinity_is_not_a_valid_rate(name: str):
    with pytest.raises(ConfigError, match=f"{name} inf: expected a number"):
        TrainSettings.load({name: float("inf")}, environment={})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_tokens", 7, "a whole number from 8 to 131,072"),
        ("epochs", "many", "a whole number of at least 1"),
        ("train_rows", 1, "a whole number of at least 2"),
        ("warmup", 1, "a number of at least 0 and below 1"),
        ("learning_rate", 0, "a number above 0"),
        ("linear", "perhaps", "true or false"),
        ("device", "tpu", "one of auto, cpu, cuda, mps"),
        ("base", 3, "text"),
        ("output", 3, "a path"),
    ],
)
def test_error_messages_describe_the_expected_value_in_plain_english(
    name: str, value: object, expected: str
):
    with pytest.raises(ConfigError) as caught:
        TrainSettings.load({name: value}, environment={})
    assert str(caught.value) == f"{name} {value!r}: expected {expected}."


def test_a_custom_validator_is_reported_with_its_own_message():
    with pytest.raises(ConfigError, match=r"^output '\.': name a folder that is to be made"):
        TrainSettings.load({"output": "."}, environment={})


def test_values_of_the_file_and_the_environment_are_validated_too(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"epochs 0 \(\[fit\] of .*run\.toml\): expected"):
        TrainSettings.load({}, write(tmp_path, "[fit]\nepochs = 0\n"), environment={})
    with pytest.raises(ConfigError, match=r"'x' \(environment variable PATCLASS_TRAIN_EPOCHS\): "):
        TrainSettings.load({}, environment={"PATCLASS_TRAIN_EPOCHS": "x"})


def test_an_empty_variable_is_not_set():
    assert TrainSettings.load({}, environment={"PATCLASS_TRAIN_EPOCHS": ""}) == TrainSettings()


def test_a_constructor_does_not_read_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATCLASS_TRAIN_FIT", '{"epochs": 9}')
    monkeypatch.setenv("PATCLASS_SERVE_PORT", "1")
    monkeypatch.setenv("PORT", "1")
    assert TrainSettings.model_validate({}).fit.epochs == 3
    assert (ServiceSettings().port, ServiceSettings.model_validate({}).port) == (9000, 9000)


def test_settings_of_the_service_are_merged_in_the_same_way(tmp_path: Path):
    file = write(tmp_path, '[serve]\nport = 1\nhost = "a"\ncors = ["https://a"]\nwindow = 60\n')
    environment = {"PATCLASS_SERVE_PORT": "2", "PATCLASS_SERVE_CORS": "https://b, https://c"}
    flags = {"port": "3", "cors": (), "trace": None}
    settings = ServiceSettings.load(flags, file, environment)
    assert (settings.port, settings.host, settings.window) == (3, "a", 60)
    assert settings.cors == ("https://b", "https://c")
    assert settings.trace is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[serve]\nprot = 3\n", r"unknown key 'prot' in \[serve\] .*mean 'port'\?"),
        ("[server]\nport = 3\n", r"unknown table '\[server\]' .*did you mean 'serve'\?"),
        ("port = 3\n", r"'port' stands outside of a table in .*put it in \[serve\]"),
        ("[serve]\nport = 'x'\n", r"port 'x' \(\[serve\] of .*\): expected a whole number from 0"),
        ("[serve]\ncors = 'x'\n", "cors 'x' .*: expected a list of texts"),
        ("[serve]\ndeadline = 0\n", "deadline 0 .*: expected a number above 0 and of at most 600"),
    ],
)
def test_an_invalid_service_file_is_refused(tmp_path: Path, text: str, expected: str):
    with pytest.raises(ConfigError, match=expected):
        ServiceSettings.load({}, write(tmp_path, text), environment={})


def test_an_unknown_variable_of_the_service_is_named():
    with pytest.raises(ConfigError, match="PATCLASS_SERVE_PROT: did you mean 'port'"):
        ServiceSettings.load({}, environment={"PATCLASS_SERVE_PROT": "3"})


def test_an_invalid_value_that_is_overridden_is_ignored(tmp_path: Path):
    file = write(tmp_path, "[fit]\nepochs = 0\n")
    assert TrainSettings.load({"epochs": 2}, file, environment={}).fit.epochs == 2


@pytest.mark.parametrize("content", [b"[fit\nepochs = 3", b"epochs = ", b"[fit]\n\xff = 1"])
def test_broken_toml_is_named(tmp_path: Path, content: bytes):
    file = tmp_path / "run.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"run\.toml is not valid TOML: "):
        TrainSettings.load({}, file, environment={})


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml: No such file"):
        TrainSettings.load({}, tmp_path / "none.toml", environment={})


@pytest.mark.parametrize("settings", [TrainSettings, ServiceSettings])
def test_every_setting_is_described(settings: type[Settings]):
    for name, (_, info) in settings.fields().items():
        assert info.description, name
        assert info.description.endswith("."), name


def test_setting_names_are_unique_across_groups():
    groups = {name: info.annotation for name, info in TrainSettings.model_fields.items()}
    names = [name for group in groups.values() for name in group.model_fields]
    assert len(names) == len(set(names)) == len(TrainSettings.fields())
    assert all(
        name in groups[group].model_fields for name, (group, _) in TrainSettings.fields().items()
    )
