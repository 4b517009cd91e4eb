from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest
from click.testing import Result

from textmill.cli.door import bind, is_exposed, listen, refuse_shared, url_of
from textmill.errors import ConfigInvalid


def test_a_bound_door_refuses_connections_until_it_listens() -> None:
    with bind("127.0.0.1", 0) as door:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(door.getsockname())

        listen(door)
        socket.create_connection(door.getsockname()).close()


def test_a_taken_port_is_refused_by_number() -> None:
    with bind("127.0.0.1", 0) as taken:
        listen(taken)
        port = taken.getsockname()[1]

        with pytest.raises(ConfigInvalid, match=f"port {port} on 127.0.0.1 is taken; choose another with --port"):
            bind("127.0.0.1", port)


def test_of_two_that_start_together_the_slower_one_is_refused() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with bind("127.0.0.1", port) as second:
            listen(first)

            with pytest.raises(ConfigInvalid, match="is taken"):
                listen(second)


@pytest.mark.parametrize("flag", ["--grpc-port", "--prometheus-port"])
@pytest.mark.parametrize("other", ["--port", "--grpc-port", "--prometheus-port"])
def test_two_flags_with_one_port_are_refused_by_name_before_a_model_loads(
    flag: str, other: str, command: Callable[..., Result]
) -> None:
    if flag == other:
        return
    done = command("serve", "no-such-model", flag, "18080", other, "18080")
    assert done.exit_code == 1
    assert re.search(f"error: ({flag} and {other}|{other} and {flag}) are both 18080; .*\n$", done.output)
    assert len(done.output.splitlines()) == 1


def test_two_flags_may_each_take_any_free_port() -> None:
    refuse_shared({"--port": 0, "--grpc-port": 0, "--prometheus-port": None})


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match=r"192\.0\.2\.1 is no address of this machine"):
        bind("192.0.2.1", 0)


def test_a_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="the host '::1%nowhere' has no address"):
        bind("::1%nowhere", 0)


def test_the_url_has_the_port_that_was_free() -> None:
    with bind("localhost", 0) as door:
        assert url_of(door).endswith(f":{door.getsockname()[1]}")


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    with socket.socket(socket.AF_INET6) as door:
        assert url_of(door) == "http://[::]:0"


@pytest.mark.parametrize(("host", "exposed"), [("127.0.0.1", False), ("127.1.2.3", False), ("0.0.0.0", True)])  # noqa: S104
def test_a_door_is_exposed_unless_only_this_machine_reaches_it(host: str, exposed: bool) -> None:  # noqa: FBT001 - a case
    with bind(host, 0) as door:
        assert is_exposed(door) is exposed
