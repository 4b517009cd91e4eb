from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.gallery.conftest import Getting

from textmill.errors import DownloadFailed, InvalidInput, ModelBroken, ModelNotFound
from textmill.gallery.access import Access
from textmill.gallery.download import RESERVE, Fetched, download
from textmill.gallery.progress import Progress
from textmill.gallery.stop import Stop
from textmill.gallery.web import Web
from textmill.testing.fileserver import Fault, FileServer

DATA = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture(autouse=True)
def _served(server: FileServer) -> None:
    server.files["/model.bin"] = DATA


def ranges(server: FileServer) -> list[str | None]:
    return [each.headers.get("range") for each in server.asked]


def test_a_file_is_fetched_whole_and_nothing_else_is_left(getting: Getting) -> None:
    got = getting.get(sha256=SHA256)

    assert got == Fetched(getting.target(), len(DATA), SHA256, new=True)
    assert getting.target().read_bytes() == DATA
    assert getting.left() == ["model.bin"]


def test_a_file_that_is_there_is_not_fetched_again(getting: Getting) -> None:
    getting.get(sha256=SHA256)
    again = getting.get(sha256=SHA256)
    without_hash = getting.get()

    assert (again.new, without_hash.new) == (False, False)
    assert len(getting.server.asked) == 1


def test_another_file_of_that_name_is_never_overwritten(getting: Getting) -> None:
    getting.target().write_bytes(b"mine")

    with pytest.raises(InvalidInput, match="exists and is another file"):
        getting.get(sha256=SHA256)
    assert getting.target().read_bytes() == b"mine"


def test_another_file_gives_way_where_the_caller_says_so(getting: Getting) -> None:
    getting.target().write_bytes(b"old")

    download(replace(getting.order(sha256=SHA256), replace=True), getting.web)

    assert getting.target().read_bytes() == DATA


@pytest.mark.parametrize("sha256", [None, SHA256])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_dropped_connection_is_resumed_where_it_broke(
    getting: Getting,
    sha256: str | None,
    chunked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=100_000, chunked=chunked), Fault(sent=200_000)]

    got = getting.get(sha256=sha256)

    assert got.sha256 == SHA256
    assert ranges(getting.server) == [None, "bytes=100000-", "bytes=300000-"]
    assert all("if-range" in each.headers for each in getting.server.asked[1:])


def test_drops_that_bring_something_each_time_are_never_too_many(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=50_000) for _ in range(9)]

    assert getting.get().sha256 == SHA256


def test_a_download_left_by_an_earlier_process_is_resumed(getting: Getting) -> None:
    getting.server.always["/model.bin"] = Fault(sent=0)
    getting.server.faults["/model.bin"] = [Fault(sent=70_000)]
    with pytest.raises(DownloadFailed, match="what came so far is kept"):
        getting.get()
    assert getting.left() == ["model.bin.part", "model.bin.part.json"]
    getting.server.always.clear()
    getting.server.asked.clear()

    got = getting.get()

    assert got.sha256 == SHA256
    assert ranges(getting.server) == ["bytes=70000-"]
    assert getting.left() == ["model.bin"]


def test_a_file_that_changed_in_between_is_fetched_from_the_start(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=100_000)]
    changed = bytes(reversed(DATA))

    def change(progress: Progress) -> None:
        if progress.phase == "downloading":
            getting.server.files["/model.bin"] = changed

    getting.get(report=change)

    assert getting.target().read_bytes() == changed


def test_bytes_of_unknown_origin_are_not_built_upon(getting: Getting) -> None:
    getting.target("model.bin.part").write_bytes(b"x" * 1000)

    assert getting.get().sha256 == SHA256
    assert ranges(getting.server) == [None]


def test_a_part_without_a_validator_is_resumed_only_where_a_hash_will_tell(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=1000, headers={"ETag": ""})] * 2

    getting.get(sha256=SHA256)
    getting.server.asked.clear()
    getting.target().unlink()
    getting.server.faults["/model.bin"] = [Fault(sent=1000, headers={"ETag": ""})]
    getting.get()

    assert ranges(getting.server) == [None, None]


def test_a_part_of_other_bytes_is_found_out_and_fetched_anew(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(body=b"y" * 1000 + DATA[1000:], sent=1000, headers={"ETag": ""})]

    assert getting.get(sha256=SHA256).sha256 == SHA256
    assert ranges(getting.server) == [None, "bytes=1000-", None]


def test_a_server_that_ignores_ranges_is_taken_from_the_start(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=100_000), Fault(ignores_range=True)]

    assert getting.get().sha256 == SHA256
    assert getting.target().stat().st_size == len(DATA)


def test_a_server_that_sends_another_range_is_asked_for_the_whole(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=100_000), Fault(wrong_range=True)]

    assert getting.get(sha256=SHA256).sha256 == SHA256
    assert ranges(getting.server) == [None, "bytes=100000-", None]


def test_a_whole_part_is_finished_without_its_bytes_being_sent_again(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(length=1)]

    assert getting.get().sha256 == SHA256
    assert ranges(getting.server) == [None, f"bytes={len(DATA)}-"]


def test_a_part_longer_than_the_file_is_dropped(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(body=DATA * 2, sent=len(DATA) + 5)]

    assert getting.get(sha256=SHA256).sha256 == SHA256


@pytest.mark.parametrize("fault", [Fault(length=10), Fault(sent=5000)])
def test_a_file_that_always_ends_too_early_is_an_error_after_some_attempts(getting: Getting, fault: Fault) -> None:
    getting.server.always["/model.bin"] = replace(fault, ignores_range=True)

    with pytest.raises(DownloadFailed, match="failed 3 times"):
        getting.get()
    assert not getting.target().exists()


def test_a_length_that_lies_low_is_found_out_by_the_hash(getting: Getting) -> None:
    getting.server.always["/model.bin"] = Fault(length=-10)

    with pytest.raises(ModelBroken, match="nothing was kept"):
        getting.get(sha256=SHA256)
    assert getting.left() == []


def test_a_length_that_is_not_the_due_size_is_an_error(getting: Getting) -> None:
    with pytest.raises(DownloadFailed, match=r"512,000 bytes according to its server, where 512,001 are due"):
        getting.get(size=len(DATA) + 1)


def test_a_server_that_does_not_end_is_cut_off(getting: Getting) -> None:
    getting.server.always["/model.bin"] = Fault(chunked=True)

    with pytest.raises(ModelBroken, match="and more, where 1,000 are due"):
        getting.get(size=1000)
    assert getting.left() == []


def test_a_body_that_ends_properly_but_too_early_is_not_the_file(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(body=DATA[:1000], chunked=True)]

    assert getting.get(size=len(DATA)).sha256 == SHA256


def test_a_wrong_hash_keeps_nothing(getting: Getting) -> None:
    with pytest.raises(ModelBroken, match=f"sha256 {SHA256}, where {OTHER} is due"):
        getting.get(sha256=OTHER)
    assert getting.left() == []


def test_a_stalled_connection_is_given_up_and_resumed(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=100_000, stall=True)]

    assert getting.get().sha256 == SHA256
    assert ranges(getting.server) == [None, "bytes=100000-"]


def test_compression_that_nobody_asked_for_is_undone(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(gzipped=True, sent=100), Fault(gzipped=True)]

    assert getting.get(sha256=SHA256).sha256 == SHA256
    assert ranges(getting.server) == [None, None]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again(getting: Getting, status: int) -> None:
    getting.server.faults["/model.bin"] = [Fault(status=status, headers={"Retry-After": "0"})] * 2

    assert getting.get().sha256 == SHA256


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ModelNotFound), (403, ModelNotFound), (404, ModelNotFound), (410, ModelNotFound), (400, DownloadFailed)],
)
def test_a_status_that_stays_is_told_at_once(getting: Getting, status: int, error: type[Exception]) -> None:
    getting.server.always["/model.bin"] = Fault(status=status)

    with pytest.raises(error, match=str(status)):
        getting.get()
    assert len(getting.server.asked) == 1
    assert getting.left() == []


def test_a_server_that_always_fails_is_given_up(getting: Getting) -> None:
    getting.server.always["/model.bin"] = Fault(status=503)

    with pytest.raises(DownloadFailed, match=r"failed 3 times: .* answers 503"):
        getting.get()


def test_the_disk_is_asked_before_the_first_byte(getting: Getting) -> None:
    with pytest.raises(DownloadFailed, match="needs 512,000 more bytes"):
        download(getting.order(), getting.web, free=lambda _: RESERVE + len(DATA) - 1)
    assert getting.left() == []


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(getting: Getting) -> None:
    getting.target("model.bin.part").mkdir()

    with pytest.raises(DownloadFailed, match=r"model\.bin cannot be written"):
        getting.get()


def test_progress_is_told_up_to_the_end(getting: Getting) -> None:
    told: list[Progress] = []

    getting.get(report=told.append)

    assert {each.file for each in told} == {"model.bin"}
    assert [each.phase for each in told if each.phase != "downloading"] == ["verifying", "done"]
    assert told[-1] == Progress("model.bin", "done", len(DATA), len(DATA), told[-1].rate)
    assert told[-1].percent == 100


def test_a_cancelled_download_wakes_up_and_keeps_what_it_has(getting: Getting) -> None:
    # The stall is longer than the test may take: only the interruption ends it in time.
    patient = Web(replace(getting.web.access, patience=replace(getting.web.access.patience, stall=60.0)))
    getting.server.faults["/model.bin"] = [Fault(sent=100_000, stall=True)]
    stop = Stop()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()

    with pytest.raises(CancelledError):
        download(getting.order(), patient, stop=stop)
    patient.close()

    assert time.monotonic() - began < 10
    assert getting.get().sha256 == SHA256
    assert ranges(getting.server) == [None, "bytes=100000-"]


def test_a_download_is_cancelled_while_the_server_has_not_answered(getting: Getting) -> None:
    patient = Web(replace(getting.web.access, patience=replace(getting.web.access.patience, stall=60.0)))
    getting.server.faults["/model.bin"] = [
        Fault(status=200, headers={"X": "y" * 10, "Content-Length": "5"}, stall=True)
    ]
    stop = Stop()
    threading.Timer(0.2, stop.set).start()

    with pytest.raises(CancelledError):
        download(getting.order(), patient, stop=stop)
    patient.close()


def test_several_who_want_one_file_share_one_transfer(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=100_000, stall=True)]
    told: list[Progress] = []

    with ThreadPoolExecutor(3) as pool:
        got = list(pool.map(lambda _: getting.get(sha256=SHA256, report=told.append), range(3)))

    assert [each.sha256 for each in got] == [SHA256] * 3
    assert sum(each.new for each in got) == 1
    assert len([each for each in ranges(getting.server) if each is None]) == 1
    assert any(each.phase == "waiting" and each.total == len(DATA) for each in told)


def test_who_waits_can_be_cancelled(getting: Getting) -> None:
    getting.server.faults["/model.bin"] = [Fault(sent=100_000, stall=True)]
    stop = Stop()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(getting.get)
        while not getting.target("model.bin.part.json").exists():
            time.sleep(0.01)
        second = pool.submit(getting.get, stop=stop)
        stop.set()

        with pytest.raises(CancelledError):
            second.result()
        assert first.result().sha256 == SHA256


def test_what_the_hub_says_of_a_large_file_is_checked(getting: Getting) -> None:
    server = getting.server
    server.files["/stored"] = DATA
    linked = {"X-Linked-ETag": f'"{OTHER}"', "X-Linked-Size": str(len(DATA))}
    server.always["/o/r/resolve/main/model.bin"] = Fault(redirect="/stored", headers=linked)

    with pytest.raises(ModelBroken, match=f"where {OTHER} is due"):
        getting.get("/o/r/resolve/main/model.bin")


def test_an_outdated_hash_is_told_before_anything_is_downloaded(getting: Getting) -> None:
    linked = {"X-Linked-ETag": f'"{SHA256}"', "X-Linked-Size": str(len(DATA))}
    getting.server.always["/old/model.bin"] = Fault(redirect="/model.bin", headers=linked)

    with pytest.raises(ModelBroken, match="the gallery is outdated, and nothing was downloaded"):
        getting.get("/old/model.bin", sha256=OTHER)
    assert getting.left() == []


def test_nothing_is_fetched_offline(getting: Getting, access: Access) -> None:
    web = Web(replace(access, offline=True))

    with pytest.raises(DownloadFailed, match="offline"):
        download(getting.order(), web)
    assert getting.server.asked == []
