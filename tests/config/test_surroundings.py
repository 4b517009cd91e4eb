from __future__ import annotations

from pathlib import Path

import pytest

from textmill.config.surroundings import Memory, cpu, memory, network

V2 = {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "5000\n"}
V1 = {
    "proc/self/cgroup": "4:memory:/x\n3:cpu:/x\n",
    "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712",
}


def root_with(folder: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 100 kB\nMemAvailable:  50 kB\nOdd\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(("files", "limit"), [({}, None), (V2, 5000), (V1, None)])
def test_memory_has_the_smallest_limit_that_is_one(files: dict[str, str], limit: int | None, tmp_path: Path) -> None:
    assert memory(root_with(tmp_path, files)) == Memory(102400, 51200, limit)


def test_a_system_that_says_nothing_is_no_error(tmp_path: Path) -> None:
    assert memory(tmp_path) == Memory(None, None, None)
    assert (cpu(tmp_path).model, cpu(tmp_path).features) == ("", ())


def test_a_cpu_is_told_by_its_first_core(tmp_path: Path) -> None:
    text = "model name\t: Big\nflags\t\t: fpu avx2 avx512f amx_tile\n\nmodel name\t: Little\nflags\t: fpu\n"
    found = cpu(root_with(tmp_path, {"proc/cpuinfo": text}))
    assert (found.model, found.features) == ("Big", ("avx2", "avx512", "amx"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:s3cret@proxy:1", "http://***@proxy:1"),
        ("me:s3cret@proxy:3128", "***@proxy:3128"),
        ("//me:s3cret@proxy:3128", "//***@proxy:3128"),
        ("http://me:s3@cr/et?s3cret#s3cret@proxy:1", "http://***@proxy:1"),
        ("HTTP://s3cret@proxy", "HTTP://***@proxy"),
        ("proxy:3128", "proxy:3128"),
    ],
)
def test_proxies_show_without_who_may_use_them(text: str, shown: str) -> None:
    assert network({"HTTPS_PROXY": text, "OTHER": "x", "NO_PROXY": ""}) == {"HTTPS_PROXY": shown}


def test_a_mirror_is_shown_and_so_are_files() -> None:
    environ = {"HF_MIRROR": "me:s3cret@mirror", "SSL_CERT_FILE": "/home/me@example/ca.pem"}

    assert network(environ) == {"HF_MIRROR": "***@mirror", "SSL_CERT_FILE": "/home/me@example/ca.pem"}
