"""What offices answered is kept, within bounds."""

import threading
from pathlib import Path

import pytest

from patclass.offices.cache import ABSENT_DAYS, DAY, Cache


class Now:
    """A time that a test sets."""

    seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


def cache_in(folder: Path, now: Now, days: float = 30, max_bytes: int = 1000) -> Cache:
    return Cache(folder / "made" / "later", days, max_bytes, now)


def test_what_was_put_is_there_until_it_is_too_old(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now)
    assert cache.get("EPO-EP1-record") is None
    cache.put("EPO-EP1-record", b"<xml/>")
    now.seconds += 30 * DAY - 1
    assert cache.get("EPO-EP1-record") == b"<xml/>"
    assert cache.get("EPO-EP1-claims") is None
    now.seconds += 2
    assert cache.get("EPO-EP1-record") is None


def test_another_process_finds_it(tmp_path: Path, now: Now):
    cache_in(tmp_path, now).put("a", b"1")
    assert cache_in(tmp_path, now).get("a") == b"1"


def test_what_an_office_does_not_have_is_asked_again_after_a_day(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now)
    cache.put("a", b"")
    assert cache.get("a") == b""
    now.seconds += ABSENT_DAYS * DAY + 1
    assert cache.get("a") is None


def test_a_file_of_the_future_does_not_count(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now)
    cache.put("a", b"1")
    now.seconds -= 10
    assert cache.get("a") is None


def test_the_oldest_files_yield(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now, max_bytes=25)
    for name in ("a", "b", "c"):
        cache.put(name, b"0123456789")
        now.seconds += 1
    assert [cache.get(name) is not None for name in ("a", "b", "c")] == [False, True, True]
    cache.put("d", b"x" * 26)
    assert cache.get("d") is None
    assert cache.get("c") is not None


def test_files_that_are_too_old_are_deleted(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now)
    cache.put("a", b"1")
    now.seconds += 31 * DAY
    cache.put("b", b"1")
    assert len(list((tmp_path / "made" / "later").iterdir())) == 1


def test_nothing_else_in_the_folder_is_touched(tmp_path: Path, now: Now):
    cache = Cache(tmp_path, 30, 5, now)
    (tmp_path / "thesis.txt").write_text("x" * 1000)
    cache.put("a", b"12345")
    cache.put("b", b"12345")
    assert (tmp_path / "thesis.txt").exists()


def test_without_room_nothing_is_written(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now, max_bytes=0)
    cache.put("a", b"1")
    cache.put("b", b"")
    assert cache.get("a") is None
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_costs_only_requests(tmp_path: Path, now: Now):
    (tmp_path / "made").write_text("a file")
    cache = cache_in(tmp_path, now)
    cache.put("a", b"1")
    assert cache.get("a") is None


def test_several_threads_write_the_same_file(tmp_path: Path, now: Now):
    cache = cache_in(tmp_path, now, max_bytes=100_000)
    threads = [
        threading.Thread(target=cache.put, args=("a", b"0123456789" * 100)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("a") == b"0123456789" * 100
    assert len(list((tmp_path / "made" / "later").iterdir())) == 1
