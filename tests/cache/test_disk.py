"""Values on disk: they outlive the process, stay within their limit, and trouble with the file is nobody else's."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from textmill.cache.disk import Disk
from textmill.cache.file import ValueFile
from textmill.errors import ConfigInvalid

MB = 10**6
PATIENCE_S = 10.0

Open = Callable[..., Disk]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Opens the file, as another process would, and closes it at the end of the test."""
    disks: list[Disk] = []

    def open_it(limit: int = 10 * MB, where: Path = path) -> Disk:
        disks.append(Disk(where, limit))
        return disks[-1]

    yield open_it
    for disk in disks:
        disk.close()


def values(count: int, start: int = 0, size: int = 1500) -> dict[bytes, bytes]:
    return {number.to_bytes(32, "big"): os.urandom(4) * (size // 4) for number in range(start, start + count)}


def wait_for(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_values_outlive_the_process(opened: Open) -> None:
    kept = values(100)
    first = opened()
    first.keep(kept.items())
    assert first.find(list(kept)) == kept  # also before they are written
    first.close()
    assert opened().find([*kept, b"unknown"]) == kept


def test_the_report_has_what_was_there_before(opened: Open) -> None:
    first = opened()
    first.keep(values(100).items())
    wait_for(lambda: first.report().entries == 100)
    assert first.report().size > 100 * 1500
    first.close()
    second = opened()
    wait_for(lambda: second.report().entries == 100)
    assert second.report() == first.report()


def test_the_file_is_for_its_owner_only(opened: Open, path: Path) -> None:
    opened()
    assert path.stat().st_mode & 0o777 == 0o600


def test_several_processes_share_a_file(opened: Open) -> None:
    one, two = opened(), opened()
    mine, yours = values(50), values(50, start=25)
    one.keep(mine.items())
    two.keep(yours.items())
    both = {**yours, **mine}
    wait_for(lambda: len(one.find(list(both))) == len(two.find(list(both))) == len(both))
    assert one.find(list(mine)).keys() == mine.keys()
    wait_for(lambda: one.find(list(both)) == two.find(list(both)))


def test_a_key_keeps_its_first_value(path: Path) -> None:
    file = ValueFile(path, MB)
    file.keep({b"key": b"first"}, {})
    file.keep({b"key": b"second"}, {})
    assert file.find([b"key"])[b"key"][1] == b"first"
    file.close()


def test_the_oldest_leave_and_those_that_were_used_stay(path: Path) -> None:
    file = ValueFile(path, MB)
    kept = values(200)
    used = {key: len(kept[key]) for key in list(kept)[:50]}
    file.keep(kept, {})
    gone, start = 0, 1000
    while not gone:
        gone = file.keep(values(50, start), used)
        start += 50
    assert file.find(list(used)).keys() == set(used)
    assert file.find(list(kept)).keys() == set(used)
    assert file.count() == 200 + (start - 1000) - gone
    file.close()


def test_the_limit_is_kept_however_much_comes(path: Path) -> None:
    file = ValueFile(path, MB)
    for start in range(0, 5000, 500):
        file.keep(values(500, start), {})
        assert file.size() <= MB
    assert path.stat().st_size <= MB
    file.close()


@pytest.mark.parametrize(("count", "size"), [(20_000, 1500), (100_000, 20), (20, 900_000)])
def test_the_limit_is_kept_where_much_is_written_at_once(path: Path, count: int, size: int) -> None:
    file = ValueFile(path, MB)
    file.keep(values(count, size=size), {})
    assert path.stat().st_size <= MB
    assert path.with_name("cache.sqlite-wal").stat().st_size <= 15 * MB
    assert (file.count() > 0) == (size <= MB // 8)  # larger ones are not kept
    file.close()


def test_no_more_waits_to_be_written_than_may(opened: Open) -> None:
    disk = opened(100 * MB)
    kept = {number.to_bytes(32, "big"): bytes(2 * MB) for number in range(20)}
    disk.keep(kept.items())  # at once: the thread that writes waits for the same lock

    assert len(disk.find(list(kept))) == 17  # the first beyond 32 MiB is the last


def test_the_limit_is_kept_where_much_was_used(path: Path) -> None:
    file = ValueFile(path, 2 * MB)
    kept = values(1000)
    file.keep(kept, {})
    for start in range(5000, 5300, 100):
        file.keep(values(100, start), {key: len(value) for key, value in list(kept.items())[::2]})
        assert file.size() <= 2 * MB
    assert file.find(list(kept)[-100::2]).keys() == set(list(kept)[-100::2])
    file.close()


def test_the_log_stays_short_beside_who_reads_for_long(path: Path) -> None:
    file, reader = ValueFile(path, 8 * MB), sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM rows").fetchone()  # whose view keeps the log from being cleared
    for start in range(0, 30_000, 5000):
        file.keep(values(5000, start), {})
    assert path.with_name("cache.sqlite-wal").stat().st_size <= 40 * MB
    reader.close()
    file.keep(values(1), {})
    assert path.with_name("cache.sqlite-wal").stat().st_size <= 15 * MB
    file.close()


def test_another_process_that_writes_for_long_turns_nothing_off(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept, lost = values(3), values(3, start=10)
    disk = Disk(path, 10 * MB, patience_s=0.01)
    disk.keep(kept.items())
    wait_for(lambda: disk.report().entries == 3)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.INFO):
        disk.keep(lost.items())
        wait_for(lambda: "another process has the cache" in caplog.text)
    assert "is not used" not in caplog.text
    assert disk.find([*kept, *lost]) == kept
    lock.close()
    disk.keep(lost.items())
    disk.close()
    later = Disk(path, 10 * MB)
    assert later.find([*kept, *lost]) == {**kept, **lost}
    later.close()


def test_a_forked_child_ends_whatever_the_threads_of_its_parent_held(path: Path) -> None:
    program = """
import os, sys, threading, warnings
from pathlib import Path
from textmill.cache.disk import Disk
warnings.simplefilter("ignore")
disk = Disk(Path(sys.argv[1]), 10**7)
held, over = threading.Event(), threading.Event()
def pairs():
    held.set()
    over.wait()
    yield b"key", b"value"
thread = threading.Thread(target=disk.keep, args=(pairs(),))
thread.start()
held.wait()
child = os.fork()
if child == 0:
    disk.close()
    os._exit(3)
threading.Timer(5.0, os.kill, (child, 9)).start()
status = os.waitpid(child, 0)[1]
over.set()
thread.join()
disk.close()
os._exit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=15, check=False)  # noqa: S603 - ourselves
    assert done.returncode == 3


def test_a_smaller_limit_makes_the_file_smaller(path: Path) -> None:
    large = ValueFile(path, 4 * MB)
    large.keep(values(2000), {})
    large.close()
    small = ValueFile(path, MB)
    small.close()
    assert path.stat().st_size <= MB


def test_what_the_disk_has_changed_is_not_found(path: Path) -> None:
    file = ValueFile(path, MB)
    kept = values(2)
    file.keep(kept, {})
    file.close()
    first, second = kept
    with sqlite3.connect(path) as db:
        db.execute("UPDATE rows SET value = zeroblob(length(value)) WHERE key = ?", (first,))
    db.close()
    file = ValueFile(path, MB)
    assert file.find([first, second]).keys() == {second}
    file.close()


def test_a_text_is_refused_and_left_alone(opened: Open, path: Path) -> None:
    notes = b"this is no database, but somebody's notes"
    path.write_bytes(notes)
    with pytest.raises(ConfigInvalid, match="is a text, and no cache; name another file with --cache-path"):
        opened()
    assert path.read_bytes() == notes
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", [b"no database\0" * 400, b"\0" * 9000, b"SQLite format 3\0" + b"\1" * 9000])
def test_a_damaged_file_is_moved_aside_and_begun_anew(
    opened: Open, path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    path.write_bytes(damage)
    kept = values(3)
    disk = opened()
    disk.keep(kept.items())
    disk.close()
    assert opened().find(list(kept)) == kept
    assert path.with_name("cache.sqlite.damaged").read_bytes() == damage
    assert "damaged" in caplog.text


def test_damage_that_is_found_later_harms_nobody(opened: Open, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = values(2000)
    first = opened()
    first.keep(kept.items())
    first.close()
    with path.open("r+b") as file:  # behind the head, which says that all is well
        file.seek(8192)
        file.write(b"\xff" * 2 * MB)
    disk = opened()
    assert disk.find(list(kept)) == {}
    wait_for(lambda: "damaged" in caplog.text)

    def works() -> bool:
        disk.keep(kept.items())
        return disk.find(list(kept)[:3]) == dict(list(kept.items())[:3])

    wait_for(works)


def test_the_database_of_something_else_is_refused_and_left_alone(opened: Open, path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE people (name TEXT)")
    db.close()
    with pytest.raises(ConfigInvalid, match="database of something else; name another file with --cache-path"):
        opened()
    with sqlite3.connect(path) as db:
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master")] == ["people"]
    db.close()


def test_a_place_that_cannot_have_a_file_is_refused(opened: Open, tmp_path: Path) -> None:
    for place in (tmp_path / "missing" / "cache", tmp_path):
        with pytest.raises(ConfigInvalid, match="cannot be opened"):
            opened(where=place)


def test_trouble_with_the_disk_turns_it_off_for_a_while_and_is_told_once(
    opened: Open, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = values(3)
    disk = opened()
    lock = sqlite3.connect(path, isolation_level=None)
    with caplog.at_level(logging.WARNING):
        lock.execute("DROP TABLE rows")  # as whoever plays with the file might
        disk.keep(kept.items())
        wait_for(lambda: "is not used for 60 s" in caplog.text)
        disk.keep(kept.items())
    assert disk.find(list(kept)) == {}
    assert caplog.text.count("is not used") == 1
    lock.close()


def test_what_was_written_before_a_kill_is_there_and_the_rest_is_whole(opened: Open, path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from textmill.cache.disk import Disk
disk = Disk(Path(sys.argv[1]), 10**8)
for number in range(10**6):
    disk.keep([(number.to_bytes(32, "big"), number.to_bytes(1500, "big"))])
    if number % 100 == 0:
        time.sleep(0.01)
    if disk.report().entries > 1000:
        print("some", flush=True)
"""
    child = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"some\n"
    child.send_signal(signal.SIGKILL)
    child.wait(PATIENCE_S)
    child.stdout.close()
    keys = [number.to_bytes(32, "big") for number in range(5000)]
    found = opened().find(keys)
    assert len(found) > 1000
    assert all(value == int.from_bytes(key, "big").to_bytes(1500, "big") for key, value in found.items())
