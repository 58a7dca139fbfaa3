"""Keys of the service: created, checked, revoked, and what their file reveals."""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import ROOT, run_script
from patclass.core.errors import ConfigError, OutputError
from patclass.service import keys as keys_module
from patclass.service.keys import DEFAULT_FILE, MAX_NAME, Key, KeyFile, Role, default_path

CREATE = """
import sys
from pathlib import Path
from patclass.service.keys import KeyFile, Role
for number in range(int(sys.argv[3])):
    print(KeyFile(Path(sys.argv[1])).create(f"{sys.argv[2]}-{number}", Role.USER))
"""

HEAVY = """
import sys
import patclass.service.keys
heavy = {"torch", "transformers", "numpy", "fastapi", "starlette", "uvicorn", "sklearn"}
print(sorted(heavy & set(sys.modules)))
"""

GOOD = {
    "id": "0123abcd",
    "name": "demo",
    "role": "user",
    "created": "2026-05-09T07:35:25Z",
    "sha256": "a" * 64,
}


@pytest.fixture
def store(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyFile, str]:
    """A file with one key, and the key."""
    store = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    return store, store.create("demo", Role.USER)


def id_of(key: str) -> str:
    return key.split("_")[1]


def file_of(*keys: object, **more: object) -> str:
    return json.dumps({"version": 1, "keys": keys} | more)


def test_a_key_has_the_documented_format(store: KeyFile):
    key = store.create("demo", Role.USER)
    assert re.fullmatch(r"pk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", key)


@pytest.mark.parametrize("role", Role)
def test_a_created_key_is_recognised_with_its_name_and_role(store: KeyFile, role: Role):
    key = store.create("search team", role)
    found = store.check(key)
    assert found is not None
    assert (found.id, found.name, found.role) == (id_of(key), "search team", role)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.created)


def test_keys_are_listed_in_order_of_creation(store: KeyFile):
    made = [store.create(name, Role.USER) for name in ("b", "a", "c", "a")]
    assert [key.name for key in store.list()] == ["b", "a", "c", "a"]
    assert [key.id for key in store.list()] == [id_of(key) for key in made]


def test_a_revoked_key_is_refused_and_the_others_are_not(store: KeyFile):
    first, second = store.create("first", Role.USER), store.create("second", Role.ADMIN)
    store.revoke(id_of(first))
    assert store.check(first) is None
    assert store.check(second) is not None
    assert [key.name for key in store.list()] == ["second"]


def test_an_unknown_id_is_reported_with_the_known_ones(store: KeyFile):
    ids = [id_of(store.create(name, Role.USER)) for name in ("first", "second")]
    with pytest.raises(ConfigError, match=f"'nosuch'.*{ids[0]}, {ids[1]}"):
        store.revoke("nosuch")
    assert len(store.list()) == 2


def test_revoking_without_keys_is_an_error_and_creates_no_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="there are none"):
        KeyFile(tmp_path / "new" / "keys.json").revoke("0123abcd")
    assert list(tmp_path.iterdir()) == []


def test_an_id_in_use_is_not_assigned_again(store: KeyFile):
    first = store.create("first", Role.USER)
    with patch.object(keys_module.secrets, "token_hex", side_effect=[id_of(first), "89abcdef"]):
        second = store.create("second", Role.USER)
    assert id_of(second) == "89abcdef"
    assert store.check(first) is not None


def test_a_wrong_secret_is_refused(store: KeyFile):
    first, second = store.create("first", Role.USER), store.create("second", Role.USER)
    assert store.check(f"pk_{id_of(first)}_{second.split('_', 2)[2]}") is None


def test_a_wrong_id_is_refused(store: KeyFile):
    key = store.create("demo", Role.USER)
    assert store.check(f"pk_00000000_{key.split('_', 2)[2]}") is None


@pytest.mark.parametrize("is_known", [True, False])
def test_an_unknown_id_takes_the_same_comparison(store: KeyFile, is_known: bool):
    key = store.create("demo", Role.USER)
    id = id_of(key) if is_known else "00000000"
    with patch.object(hmac, "compare_digest", wraps=hmac.compare_digest) as compare:
        assert store.check(f"pk_{id}_{'x' * 43}") is None
    (call,) = compare.call_args_list
    assert [len(digest) for digest in call.args] == [64, 64]


def test_an_invalid_digest_matches_no_key(store: KeyFile):
    with patch.object(keys_module, "_digest", return_value="0" * 64):
        assert store.check(f"pk_00000000_{'x' * 43}") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "",
        lambda key: key[:-1],
        lambda key: key + "x",
        lambda key: key + "\n",
        lambda key: " " + key,
        lambda key: key.removeprefix("pk_"),
        lambda key: key.upper(),
        lambda key: key.replace("_", "-", 1),
        lambda key: key[:-1] + "é",
        lambda key: key[:-1] + "\ud800",
        lambda key: key + "\0",
        lambda key: key * 10_000,
    ],
)
def test_an_altered_key_is_refused(known: tuple[KeyFile, str], change):
    store, key = known
    assert store.check(change(key)) is None


@settings(deadline=None, max_examples=300)
@given(
    st.text(st.characters())
    | st.from_regex(keys_module._PRESENTED, fullmatch=True)
    | st.builds("pk_{}_{}".format, st.text(max_size=9), st.text(max_size=44))
)
def test_arbitrary_text_is_never_accepted_and_never_raises(known: tuple[KeyFile, str], text: str):
    assert known[0].check(text) is None


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 54), st.characters())
def test_a_key_with_one_changed_character_is_refused(
    known: tuple[KeyFile, str], place: int, letter: str
):
    store, key = known
    changed = key[:place] + letter + key[place + 1 :]
    assert (store.check(changed) is not None) == (changed == key)


def test_the_file_is_private_and_contains_no_secret(store: KeyFile):
    before = os.umask(0)
    try:
        key = store.create("demo", Role.USER)
    finally:
        os.umask(before)
    assert store.path.stat().st_mode & 0o777 == 0o600
    text = store.path.read_text(encoding="utf-8")
    secret = key.split("_", 2)[2]
    assert secret not in text
    assert hashlib.sha256(secret.encode()).hexdigest() in text
    for path in store.path.parent.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_the_permissions_of_the_file_are_tightened_on_write(store: KeyFile):
    store.create("first", Role.USER)
    store.path.chmod(0o644)
    store.create("second", Role.USER)
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_the_file_is_json_of_version_1_with_known_fields_only(store: KeyFile):
    store.create("größe", Role.ADMIN)
    data = json.loads(store.path.read_text(encoding="utf-8"))
    assert data["version"] == 1
    (stored,) = data["keys"]
    assert stored.keys() == GOOD.keys()
    assert (stored["name"], stored["role"]) == ("größe", "admin")


def test_the_repr_of_a_key_does_not_show_its_digest():
    key = Key.model_validate(GOOD)
    assert "demo" in repr(key)
    assert GOOD["sha256"] not in f"{key!r} {key}"


def test_a_missing_file_has_no_keys_and_is_not_created_by_reading(store: KeyFile):
    assert store.list() == ()
    assert store.check(f"pk_00000000_{'x' * 43}") is None
    assert list(store.path.parent.iterdir()) == []


def test_the_folder_of_the_file_is_created(tmp_path: Path):
    store = KeyFile(tmp_path / "new" / "keys.json")
    assert store.check(store.create("demo", Role.USER)) is not None


def test_changes_by_another_process_apply_immediately(store: KeyFile):
    other = KeyFile(store.path)
    assert store.list() == ()
    key = other.create("demo", Role.USER)
    assert store.check(key) is not None
    other.revoke(id_of(key))
    assert store.check(key) is None
    key = other.create("demo", Role.USER)
    assert store.check(key) is not None
    store.path.unlink()
    assert store.check(key) is None


def test_an_edit_in_place_applies_too(store: KeyFile):
    key = store.create("demo", Role.USER)
    assert store.check(key).role == Role.USER
    text = store.path.read_text(encoding="utf-8")
    store.path.write_text(text.replace('"user"', '"admin"'), encoding="utf-8")
    assert store.check(key).role == Role.ADMIN


def test_an_unchanged_file_is_not_read_again(store: KeyFile):
    key = store.create("demo", Role.USER)
    assert store.check(key) is not None
    with patch.object(KeyFile, "_read", side_effect=AssertionError):
        assert store.check(key) is not None


DAMAGED = {
    "empty": "",
    "torn": file_of(GOOD)[:-5],
    "not an object": "[]",
    "no version": '{"keys": []}',
    "a later version": file_of(version=2),
    "no keys": '{"version": 1}',
    "an unknown field": file_of(more=1),
    "an unknown field of a key": file_of(GOOD | {"secret": "x"}),
    "an unknown role": file_of(GOOD | {"role": "root"}),
    "an odd id": file_of(GOOD | {"id": "0123abcd\n"}),
    "an odd time": file_of(GOOD | {"created": "yesterday"}),
    "a short digest": file_of(GOOD | {"sha256": "a" * 63}),
    "a name that moves the cursor": file_of(GOOD | {"name": "\x1b[2J"}),
    "an id twice": file_of(GOOD, GOOD),
    "deep": "[" * 100_000,
    "not UTF-8": b"\xff\xfe",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_an_error_with_a_remedy(store: KeyFile, content: str | bytes):
    raw = content if isinstance(content, bytes) else content.encode()
    store.path.write_bytes(raw)
    for action in (
        store.list,
        lambda: store.check(f"pk_00000000_{'x' * 43}"),
        lambda: store.create("demo", Role.USER),
        lambda: store.revoke("0123abcd"),
    ):
        with pytest.raises(ConfigError, match=r"keys\.json is damaged .*Restore it") as problem:
            action()
        assert "a" * 9 not in f"{problem.value} {problem.value.__cause__}"
    assert store.path.read_bytes() == raw


def test_damage_and_repair_of_a_file_in_use_are_detected(store: KeyFile):
    key = store.create("demo", Role.USER)
    assert store.check(key) is not None
    good = store.path.read_bytes()
    store.path.write_bytes(good[:-9])
    for _ in range(2):
        with pytest.raises(ConfigError, match="is damaged"):
            store.check(key)
    store.path.write_bytes(good)
    assert store.check(key) is not None


def test_a_valid_handwritten_file_is_read(store: KeyFile):
    store.path.write_text(file_of(GOOD), encoding="utf-8")
    assert store.list() == (Key.model_validate(GOOD),)


def test_a_folder_in_place_of_the_file_is_an_error_with_a_remedy(store: KeyFile):
    store.path.mkdir()
    with pytest.raises(ConfigError, match=r"cannot read the keys in .*keys\.json.*PATCLASS_KEYS"):
        store.list()


def test_a_file_in_place_of_the_folder_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    store = KeyFile(tmp_path / "notes" / "keys.json")
    with pytest.raises(OutputError, match=r"notes/keys\.json"):
        store.create("demo", Role.USER)
    with pytest.raises(ConfigError, match=r"notes/keys\.json"):
        store.list()


def test_a_lock_that_cannot_be_opened_is_an_error_that_names_it(store: KeyFile):
    (store.path.parent / f".{store.path.name}.lock").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*\.keys\.json\.lock"):
        store.create("demo", Role.USER)


def test_a_symlink_is_kept_and_its_target_is_changed(tmp_path: Path):
    real, link = KeyFile(tmp_path / "real.json"), KeyFile(tmp_path / "link.json")
    link.path.symlink_to(real.path)
    key = link.create("demo", Role.USER)
    assert real.check(key) is not None
    link.revoke(id_of(key))
    assert real.check(key) is None
    assert link.path.is_symlink()


def test_leftovers_of_a_killed_process_with_the_same_pid_are_ignored(store: KeyFile):
    left = store.path.with_name(f".keys.partial-{os.getpid()}.json")
    left.write_text("torn", encoding="utf-8")
    left.chmod(0o644)
    assert store.check(store.create("demo", Role.USER)) is not None
    assert store.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["x", "n" * MAX_NAME, "search team", "größe", "検索"])
def test_printable_names_are_accepted(store: KeyFile, name: str):
    found = store.check(store.create(name, Role.USER))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("name", ["", "  ", "n" * (MAX_NAME + 1), "a\nb", "\x1b[2J", "a\u202eb"])
def test_other_names_are_refused(store: KeyFile, name: str):
    with pytest.raises(ConfigError, match="1 to 100 printable characters") as problem:
        store.create(name, Role.USER)
    assert repr(name) in str(problem.value)
    assert list(store.path.parent.iterdir()) == []


@settings(deadline=None)
@given(st.text(st.characters(), max_size=MAX_NAME + 5))
def test_an_accepted_name_can_be_read_back(name: str):
    taken = keys_module._is_valid_name(name)
    raw = json.dumps({"version": 1, "keys": [GOOD | {"name": name}]}).encode()
    try:
        (found,) = keys_module._parse(Path("keys.json"), raw).values()
    except ConfigError:
        assert not taken
    else:
        assert taken
        assert found.name == name


def test_concurrent_processes_lose_no_key(store: KeyFile):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, str(store.path), f"process{number}", "10"],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    made = [key for process in started for key in process.communicate(timeout=600)[0].split()]
    assert [process.returncode for process in started] == [0] * 4
    assert len(made) == 40
    assert {key.id for key in store.list()} == {id_of(key) for key in made}
    assert all(store.check(key) for key in made)


@pytest.mark.parametrize("shared", [True, False])
def test_concurrent_threads_lose_no_key(store: KeyFile, shared: bool):
    retained: list[str] = []

    def work() -> None:
        mine = store if shared else KeyFile(store.path)
        for number in range(5):
            retained.append(mine.create(f"keep {number}", Role.USER))
            mine.revoke(id_of(mine.create(f"drop {number}", Role.USER)))
            assert mine.check(retained[-1]) is not None

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(retained) == 30
    assert {key.id for key in store.list()} == {id_of(key) for key in retained}


def test_the_environment_sets_the_path_of_the_file():
    assert default_path({"PATCLASS_KEYS": "/etc/patclass/keys.json"}) == Path(
        "/etc/patclass/keys.json"
    )
    assert default_path({}) == default_path({"PATCLASS_KEYS": ""}) == Path(DEFAULT_FILE)


def test_importing_the_keys_is_light():
    assert run_script(HEAVY) == "[]"
