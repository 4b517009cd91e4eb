from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import msgspec
import pytest
from tests.gallery.kit import Kit

from textmill.errors import DownloadFailed, InvalidInput, ModelBroken, ModelNotFound, Overloaded
from textmill.gallery.jobs import Jobs
from textmill.gallery.progress import Progress, Report
from textmill.gallery.record import Record
from textmill.gallery.stop import Stop
from textmill.gallery.wish import Wish

Work = Callable[[Wish, Report, Stop], object]


class Bench:
    """Makes `Jobs` over one folder, and closes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Jobs] = []

    def jobs(self, work: Work, folder: Path | None = None, **limits: int) -> Jobs:
        self.made.append(Jobs(work, folder or self.folder, **limits))
        return self.made[-1]

    def close(self) -> None:
        for jobs in self.made:
            jobs.close()
        self.made.clear()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def ended(jobs: Jobs, key: str) -> Record:
    until = time.monotonic() + 10
    while not jobs.record(key).processed:
        assert time.monotonic() < until
        time.sleep(0.005)
    return jobs.record(key)


def nothing(wish: Wish, report: Report, stop: Stop) -> None:
    """Done at once."""


def until_stopped(_wish: Wish, _report: Report, stop: Stop) -> None:
    stop.wait(10)


def test_a_job_that_goes_well_is_processed_and_completed(bench: Bench) -> None:
    jobs = bench.jobs(nothing)
    key = jobs.submit(Wish(id="g@bert"))

    record = ended(jobs, key)

    assert (record.uuid, record.gallery_element_name, record.message) == (key, "g@bert", "completed")
    assert (record.processed, record.progress, record.error, record.cancelled) == (True, 100.0, None, False)
    assert jobs.records() == {key: record}


def test_a_job_says_how_far_it_is_in_bytes_and_words(bench: Bench) -> None:
    told, go_on = threading.Event(), threading.Event()

    def work(_wish: Wish, report: Report, _stop: Stop) -> None:
        report(Progress("a.gguf", "downloading", 1536, 3 << 30, 2048.0, number=2, count=4))
        told.set()
        go_on.wait(10)

    jobs = bench.jobs(work)
    key = jobs.submit(Wish(uri="x"))
    told.wait(10)
    record = jobs.record(key)
    go_on.set()

    assert msgspec.to_builtins(record) == {
        "uuid": key,
        "gallery_element_name": "x",
        "processed": False,
        "progress": 25.0,
        "message": "processing",
        "error": None,
        "phase": "downloading",
        "file_name": "a.gguf",
        "file_size": "3.0 GiB",
        "downloaded_size": "1.5 KiB",
        "current_bytes": 1536,
        "total_bytes": 3 << 30,
        "rate": 2048.0,
        "deletion": False,
        "cancelled": False,
        "cancellable": True,
    }


def test_progress_never_goes_back_and_ends_only_at_the_end() -> None:
    record = Record(uuid="x").with_progress(Progress("a", "downloading", 60, 100))

    assert record.with_progress(Progress("a", "downloading", 0, 100)).progress == 60.0
    assert record.with_progress(Progress("a", "done", 100, 100)).progress == 99.9


def test_a_job_that_fails_says_why(bench: Bench) -> None:
    def work(*_: object) -> None:
        msg = "the file is broken"
        raise ModelBroken(msg)

    jobs = bench.jobs(work)

    record = ended(jobs, jobs.submit(Wish(delete="x")))

    assert (record.error, record.message, record.deletion) == ("the file is broken", "error: the file is broken", True)


def test_an_error_names_the_models_folder_by_its_name_alone(bench: Bench, tmp_path: Path) -> None:
    there = tmp_path.resolve()

    def work(*_: object) -> None:
        msg = f"{there}/a.gguf cannot be written; file://{there}/x is not in {there}, nor {there}-other, https://h{there}/y"
        raise DownloadFailed(msg)

    jobs = bench.jobs(work)

    assert ended(jobs, jobs.submit(Wish(id="x"))).error == (
        f"{there.name}/a.gguf cannot be written; file://{there.name}/x is not in {there.name}, nor {there}-other, https://h{there}/y"
    )


def test_a_folder_that_cannot_be_written_is_named_in_a_job_as_in_answers(kit: Kit, bench: Bench) -> None:
    kit.folder.mkdir(exist_ok=True)
    (kit.folder / "bert.gguf.part").mkdir()
    jobs = bench.jobs(kit.gallery.carry_out, folder=kit.folder)

    error = ended(jobs, jobs.submit(Wish(id="test@bert"))).error

    assert error is not None
    assert error.startswith(f"{kit.folder.name}/bert.gguf cannot be written: ")


def test_a_bug_is_in_the_log_and_not_in_the_record(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def work(*_: object) -> None:
        msg = "secret"
        raise ZeroDivisionError(msg)

    jobs = bench.jobs(work)
    with caplog.at_level(logging.ERROR):
        record = ended(jobs, jobs.submit(Wish(id="x")))

    assert record.error == "internal error; the server's log has the details"
    assert "ZeroDivisionError: secret" in caplog.text


def test_an_unknown_job_is_told(bench: Bench) -> None:
    for ask in (bench.jobs(nothing).record, bench.jobs(nothing).cancel):
        with pytest.raises(ModelNotFound, match="there is no job 'x'"):
            ask("x")


def test_a_wish_that_cannot_be_one_is_no_job(bench: Bench) -> None:
    jobs = bench.jobs(nothing)

    with pytest.raises(InvalidInput):
        jobs.submit(Wish())
    assert jobs.records() == {}


def test_where_too_many_wait_a_client_may_come_back(bench: Bench) -> None:
    jobs = bench.jobs(until_stopped, workers=1, waiting=2)
    running, waiting = jobs.submit(Wish(id="a")), jobs.submit(Wish(id="b"))

    with pytest.raises(Overloaded, match="2 jobs wait already") as caught:
        jobs.submit(Wish(id="c"))
    jobs.cancel(waiting)

    assert caught.value.retry_after >= 1
    assert list(jobs.records()) == [running, waiting]
    assert jobs.submit(Wish(id="d")) in jobs.records()


def test_so_many_run_at_once_and_the_others_wait_in_order(bench: Bench) -> None:
    running, most, order = 0, 0, list[str]()
    lock = threading.Lock()

    def work(wish: Wish, *_: object) -> None:
        nonlocal running, most
        with lock:
            running, most = running + 1, max(most, running + 1)
            order.append(wish.id)
        time.sleep(0.02)
        with lock:
            running -= 1

    jobs = bench.jobs(work, workers=2)
    keys = [jobs.submit(Wish(id=str(number))) for number in range(6)]
    assert any(jobs.record(key).message == "queued" for key in keys)
    for key in keys:
        ended(jobs, key)

    assert most == 2
    assert sorted(order[:2]) == ["0", "1"]
    assert sorted(order) == list("012345")


def test_a_running_job_is_cancelled(bench: Bench) -> None:
    jobs = bench.jobs(until_stopped)
    key = jobs.submit(Wish(id="x"))

    record = jobs.cancel(key)

    assert (record.processed, record.cancelled, record.message, record.cancellable) == (True, True, "cancelled", False)
    assert jobs.cancel(key) == record


def test_a_waiting_job_that_is_cancelled_never_runs(bench: Bench) -> None:
    ran, go_on = list[str](), threading.Event()

    def work(wish: Wish, *_: object) -> None:
        ran.append(wish.id)
        go_on.wait(10)

    jobs = bench.jobs(work, workers=1)
    first, second, third = (jobs.submit(Wish(id=name)) for name in "abc")
    jobs.cancel(second)
    go_on.set()
    ended(jobs, first)
    ended(jobs, third)

    assert ran == ["a", "c"]


def test_what_a_cancelled_job_still_says_is_not_heard(bench: Bench) -> None:
    said = threading.Event()

    def work(_wish: Wish, report: Report, stop: Stop) -> None:
        try:
            stop.wait(10)
        except CancelledError:
            report(Progress("a", "downloading", 1, 2))
            said.set()

    jobs = bench.jobs(work)
    key = jobs.submit(Wish(id="x"))
    while jobs.record(key).message == "queued":
        time.sleep(0.005)
    record = jobs.cancel(key)
    said.wait(10)

    assert jobs.record(key) == record


def test_after_a_restart_ended_jobs_are_known_and_the_others_run(bench: Bench) -> None:
    first = bench.jobs(
        lambda wish, report, stop: nothing(wish, report, stop) if wish.id == "a" else stop.wait(10), workers=1
    )
    done = first.submit(Wish(id="a"))
    ended(first, done)
    cut, queued = first.submit(Wish(id="b", overrides={"x": [1]})), first.submit(Wish(id="c"))
    gone = first.submit(Wish(id="d"))
    first.cancel(gone)
    bench.close()

    ran: list[Wish] = []
    second = bench.jobs(lambda wish, *_: ran.append(wish), workers=1)
    again = second.resume()

    assert again == [cut, queued]
    assert [ended(second, key).message for key in (done, cut, queued, gone)] == ["completed"] * 3 + ["cancelled"]
    assert ran == [Wish(id="b", overrides={"x": [1]}), Wish(id="c")]


def test_jobs_of_a_process_that_lives_are_left_to_it(bench: Bench) -> None:
    first = bench.jobs(until_stopped)
    first.submit(Wish(id="x"))

    second = bench.jobs(nothing)

    assert second.resume() == []
    assert ended(second, second.submit(Wish(id="y"))).message == "completed"


def test_a_damaged_record_is_dropped(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / ".textmill/jobs"
    folder.mkdir(parents=True)
    (folder / "x.json").write_bytes(b'{"wish')

    assert bench.jobs(nothing).resume() == []
    assert list(folder.iterdir()) == []


def test_only_the_owner_reads_a_job_since_its_addresses_may_have_secrets(bench: Bench, tmp_path: Path) -> None:
    jobs = bench.jobs(until_stopped)
    key = jobs.submit(Wish(uri="https://h/x?token=s3cret"))

    assert (tmp_path / f".textmill/jobs/{key}.json").stat().st_mode & 0o777 == 0o600


def test_old_records_are_forgotten(bench: Bench, tmp_path: Path) -> None:
    jobs = bench.jobs(nothing, kept=5)
    keys = []
    for number in range(10):
        keys.append(jobs.submit(Wish(id=str(number))))
        ended(jobs, keys[-1])

    assert list(jobs.records()) == keys[5:]
    jobs.close()  # a record is final a moment before its file is
    assert len(list((tmp_path / ".textmill/jobs").iterdir())) == 5
