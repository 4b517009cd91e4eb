from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from textmill.errors import DownloadFailed
from textmill.gallery.access import Access, shown
from textmill.gallery.stop import Stop
from textmill.gallery.transport import is_among
from textmill.gallery.web import Web, _Sockets
from textmill.testing.fileserver import Fault, FileServer


class Stream:
    """A connection as httpcore tells of it."""

    def __init__(self, inner: socket.socket) -> None:
        self.inner = inner

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self.inner if name == "socket" else None


@pytest.mark.parametrize("late", [False, True])
def test_who_waits_for_a_connection_is_woken_also_on_one_that_comes_too_late(late: bool) -> None:  # noqa: FBT001 - a parameter of the test
    ours, theirs = socket.socketpair()
    sockets = _Sockets()
    if late:
        sockets.shut()

    sockets.note("connection.connect_tcp.complete", {"return_value": Stream(ours)})
    if not late:
        sockets.shut()

    assert ours.recv(1) == b""
    ours.close()
    theirs.close()


@pytest.mark.parametrize("value", ["0", "0.01", "Thu, 26 Nov 2020 00:00:00 GMT", "soon", "-5"])
def test_whatever_a_server_wishes_for_a_pause_it_is_tried_again(server: FileServer, web: Web, value: str) -> None:
    server.files["/x"] = b"x"
    server.faults["/x"] = [Fault(status=503, headers={"Retry-After": value})]

    assert web.get(server.url("/x"), limit=10, stop=Stop()).body == b"x"


def test_a_server_cannot_make_us_wait_longer_than_we_want(server: FileServer, web: Web) -> None:
    server.files["/x"] = b"x"
    server.faults["/x"] = [Fault(status=429, headers={"Retry-After": "86400"})]

    assert web.get(server.url("/x"), limit=10, stop=Stop()).body == b"x"


def test_a_status_that_is_no_file_is_told(server: FileServer, web: Web) -> None:
    server.always["/x"] = Fault(status=418)

    with pytest.raises(DownloadFailed, match="answers 418, which is no file"):
        web.get(server.url("/x"), limit=10, stop=Stop())


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://h/x?token=1#y", "https://h/x"),
        ("https://u:p@h:1/x", "https://h:1/x"),
        ("https://h", "https://h"),
        ("https://h?x", "https://h"),
        ("https://u:p?p#p@h/x?y", "https://h/x"),
        ("u:p@p@h:1/x", "h:1/x"),
        (" https://u:p@h/x", "https://h/x"),
        ("//u:p@h/x", "//h/x"),
        ("https://u:p/p@h/x", "https://h/x"),
        ("u:p/p p@h/x", "h/x"),
        ("u@h.example/x", "h.example/x"),
        ("u@h:1", "h:1"),
        ("http://h:80/o/r@main", "http://h:80/o/r@main"),
        ("huggingface://o/r/f@main", "huggingface://o/r/f@main"),
        ("oci://h/a:tag@sha256:0", "oci://h/a:tag@sha256:0"),
        ("o/r@v1", "o/r@v1"),
        ("localai@bert", "localai@bert"),
        ("localai@o/bert-v1.5", "localai@o/bert-v1.5"),
        ("github:o/r/f@b", "github:o/r/f@b"),
        ("a:q4@sha256:0", "a:q4@sha256:0"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, bare: str) -> None:
    assert shown(url) == bare


def test_what_is_secret_is_not_shown() -> None:
    access = Access(token="hf_secret", proxy="http://u:secret@proxy")  # noqa: S106 - none

    assert "secret" not in repr(access)


@pytest.mark.parametrize(
    ("entry", "among"),
    [
        ("example.org", True),
        (".example.org", True),
        ("hub.example.org:443", True),
        ("hub.example.org:80", False),
        ("ample.org", False),
        ("*", True),
        ("::1", False),
    ],
)
def test_entries_of_no_proxy_are_names_ends_of_names_and_ports(entry: str, among: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_among("hub.example.org", 443, ["other", entry]) is among


def test_a_host_without_proxy_is_reached_directly(server: FileServer, web: Web) -> None:
    server.files["/x"] = b"x"
    access = replace(web.access, proxy="http://127.0.0.1:1", unproxied=("127.0.0.1",))

    assert Web(access).get(server.url("/x"), limit=10, stop=Stop()).body == b"x"
