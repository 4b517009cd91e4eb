from __future__ import annotations

import logging

import pytest

from textmill.config import download_proxy, hub_endpoint, network_fault, serve_options, unproxied_hosts
from textmill.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "https://huggingface.co"),
        ({"HF_ENDPOINT": " "}, "https://huggingface.co"),
        ({"HF_ENDPOINT": "https://mirror.example/"}, "https://mirror.example"),
        ({"HF_MIRROR": "mirror.example"}, "https://mirror.example"),
        ({"HF_ENDPOINT": "http://one", "HF_MIRROR": "two"}, "http://one"),
    ],
)
def test_the_hub_is_where_its_own_client_finds_it(environ: dict[str, str], expected: str) -> None:
    assert hub_endpoint(environ) == expected


@pytest.mark.parametrize("value", ["mirror.example", "ftp://mirror.example", "https://", "http://host:port"])
def test_an_endpoint_that_is_no_url_is_an_error_that_names_the_variable(value: str) -> None:
    with pytest.raises(ConfigInvalid, match="HF_ENDPOINT is no URL"):
        hub_endpoint({"HF_ENDPOINT": value})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://a:1", "all_proxy": "http://b:1"}, "http://a:1"),
        ({"http_proxy": "b:3128"}, "http://b:3128"),
        ({"HTTP_PROXY": "http://from-a-header"}, None),
        ({"ALL_PROXY": "socks5://a:1", "http_proxy": "http://b:1"}, "http://b:1"),
        ({"all_proxy": "socks5h://a:1"}, None),
    ],
)
def test_the_proxy_is_the_one_that_curl_takes(environ: dict[str, str], expected: str | None) -> None:
    assert download_proxy(environ) == expected


def test_a_proxy_of_another_kind_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        download_proxy({"ALL_PROXY": "ftp://me:secret@host"})

    assert "ALL_PROXY" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_hosts_without_proxy_are_a_list() -> None:
    assert unproxied_hosts({"NO_PROXY": "localhost, .example.org,"}) == ("localhost", ".example.org")


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({}, ""),
        ({"HF_ENDPOINT": "https://mirror", "HTTPS_PROXY": "proxy:1"}, ""),
        ({"HF_MIRROR": "ftp://me:s3cret@mirror"}, "HF_MIRROR"),
        ({"HTTPS_PROXY": "http://me:s3cret@proxy:port"}, "HTTPS_PROXY"),
    ],
)
def test_what_is_no_url_stops_no_server_but_is_warned_of(environ: dict[str, str], variable: str) -> None:
    fault = network_fault(environ)
    warnings = [sentence for level, sentence in serve_options({}, environ).notes if level == logging.WARNING]

    assert fault.startswith(f"{variable} is no URL of http or https" if variable else "")
    assert [sentence.partition(";")[0] for sentence in warnings] == ([fault.partition(";")[0]] if variable else [])
    assert "s3cret" not in fault + str(warnings)
