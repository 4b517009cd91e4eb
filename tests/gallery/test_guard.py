from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.gallery.conftest import QUICK

from textmill.errors import DownloadFailed, InvalidInput
from textmill.gallery.access import Access
from textmill.gallery.guard import Guard, is_public
from textmill.gallery.stop import Stop
from textmill.gallery.web import Web
from textmill.testing.fileserver import Fault, FileServer

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",  # noqa: S104 - not bound
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
        ),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("2002:7f00:1::", "2002:a00:1::1", "64:ff9b:1::1"),
    ],
)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_only_public_addresses_of_a_name_are_connected_to() -> None:
    guard = Guard(frozenset(), lambda *_: ["10.0.0.1", PUBLIC])

    assert guard.addresses("mixed.example", 443) == [PUBLIC]


@pytest.mark.parametrize("allowed", ["intra.example", "intra.example:8080", "INTRA.example"])
def test_an_allowed_host_may_be_private(allowed: str) -> None:
    guard = Guard(frozenset({allowed}), lambda *_: ["10.0.0.1"])

    assert guard.addresses("intra.example", 8080) == ["10.0.0.1"]


def test_an_allowed_port_allows_no_other() -> None:
    guard = Guard(frozenset({"intra.example:8080"}), lambda *_: ["10.0.0.1"])

    with pytest.raises(InvalidInput, match=r"intra\.example has a private"):
        guard.addresses("intra.example", 6379)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "x.localhost", "::1", "169.254.169.254"])
def test_behind_a_proxy_special_hosts_are_refused_by_what_they_are(host: str) -> None:
    with pytest.raises(InvalidInput):
        Guard(frozenset()).check_literal(host, 80)
    Guard(frozenset()).check_literal("example.com", 80)


def fetch(access: Access, url: str) -> None:
    web = Web(access)
    try:
        web.get(url, limit=1000, stop=Stop())
    finally:
        web.close()


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/x", "http://localhost:{port}/x", "http://2130706433:{port}/x", "http://127.1:{port}/x"],
)
def test_loopback_is_never_connected_to_unless_allowed(server: FileServer, url: str) -> None:
    server.files["/x"] = b"secret"

    with pytest.raises(InvalidInput, match="loopback"):
        fetch(Access(patience=QUICK), url.format(port=server.server_port))
    assert server.asked == []


@pytest.mark.parametrize(
    "target", ["http://localhost:{port}/x", "http://169.254.169.254/latest/meta-data/", "http://[::1]:{port}/x"]
)
def test_a_redirect_to_a_private_address_is_not_followed(server: FileServer, access: Access, target: str) -> None:
    server.files["/x"] = b"secret"
    server.always["/hop"] = Fault(redirect=target.format(port=server.server_port))

    with pytest.raises(InvalidInput, match="private, loopback or link-local"):
        fetch(access, server.url("/hop"))
    assert server.paths() == ["/hop"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.com/x", "gopher://example.com"])
def test_a_redirect_to_another_scheme_is_not_followed(server: FileServer, access: Access, target: str) -> None:
    server.always["/hop"] = Fault(redirect=target)

    with pytest.raises(InvalidInput):
        fetch(access, server.url("/hop"))


def test_endless_redirects_end(server: FileServer, access: Access) -> None:
    server.always["/loop"] = Fault(redirect="/loop")

    with pytest.raises(InvalidInput, match="cannot be fetched"):
        fetch(access, server.url("/loop"))
    assert len(server.asked) <= 11


def test_a_name_that_changes_between_two_look_ups_gains_nothing(server: FileServer) -> None:
    """The address that was checked is the one that is connected to: a second look-up, here to loopback, never happens."""
    server.files["/x"] = b"secret"
    looked_up: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        looked_up.append(f"{host}:{port}")
        return ["240.0.0.1"] if len(looked_up) % 2 else ["127.0.0.1"]

    web = Web(Access(patience=replace(QUICK, attempts=4)), rebinding)
    with pytest.raises(InvalidInput):
        web.get(server.url("/x").replace("127.0.0.1", "rebind.example"), limit=1000, stop=Stop())
    web.close()

    assert server.asked == []


def test_a_checked_name_is_reached_by_its_address_with_its_own_host_header(server: FileServer) -> None:
    server.files["/x"] = b"data"
    name = f"files.example:{server.server_port}"
    web = Web(Access(patience=QUICK, allowed_hosts=frozenset({name})), lambda *_: ["127.0.0.2", "127.0.0.1"])

    got = web.get(f"http://{name}/x", limit=1000, stop=Stop())
    web.close()

    assert got.body == b"data"
    assert server.asked[0].headers["host"] == name


def test_a_name_that_does_not_resolve_is_told_after_some_attempts() -> None:
    def nothing(*_: object) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    web = Web(Access(patience=QUICK), nothing)
    with pytest.raises(DownloadFailed, match=r"the name no\.example does not resolve \(Name or service not known\)"):
        web.get("http://no.example/x", limit=10, stop=Stop())
    web.close()


def test_the_token_goes_to_the_hub_and_nowhere_else(server: FileServer, access: Access) -> None:
    server.files["/x"] = server.files["/y"] = b"data"
    elsewhere = f"elsewhere.example:{server.server_port}"
    server.always["/hop"] = Fault(redirect=f"http://{elsewhere}/y")
    known = replace(access, token="hf_secret", allowed_hosts=frozenset({elsewhere}))  # noqa: S106 - none
    web = Web(known, lambda *_: ["127.0.0.1"])

    web.get(server.url("/x"), limit=10, stop=Stop())
    web.get(server.url("/hop"), limit=10, stop=Stop())
    web.get(f"http://{elsewhere}/x", limit=10, stop=Stop())
    web.close()

    sent = {each.path + "@" + each.headers["host"]: each.headers.get("authorization") for each in server.asked}
    assert sent == {
        f"/x@{server.host}": "Bearer hf_secret",
        f"/hop@{server.host}": "Bearer hf_secret",
        f"/y@{elsewhere}": None,
        f"/x@{elsewhere}": None,
    }
    assert "hf_secret" not in repr(known)


def test_a_proxy_is_asked_for_names_and_never_for_special_hosts(server: FileServer) -> None:
    server.files["http://files.example/x"] = b"by proxy"
    server.always["http://files.example/hop"] = Fault(redirect="http://169.254.169.254/latest")
    proxied = Access(patience=QUICK, proxy=server.url(""))
    web = Web(proxied, lambda *_: [])

    assert web.get("http://files.example/x", limit=100, stop=Stop()).body == b"by proxy"
    for url in ("http://files.example/hop", "http://localhost/x"):
        with pytest.raises(InvalidInput, match="private"):
            web.get(url, limit=100, stop=Stop())
    web.close()

    assert server.paths() == ["http://files.example/x", "http://files.example/hop"]


def test_a_small_file_is_bounded(server: FileServer, access: Access) -> None:
    server.files["/x"] = b"x" * 1001

    with pytest.raises(InvalidInput, match="larger than 1,000 bytes"):
        fetch(access, server.url("/x"))


def test_what_may_be_secret_in_a_url_is_not_in_the_error(server: FileServer, access: Access) -> None:
    with pytest.raises(Exception, match="does not exist") as caught:
        fetch(access, server.url("/x?signature=secret"))
    assert "secret" not in str(caught.value)
