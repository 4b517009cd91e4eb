from __future__ import annotations

from pathlib import Path

import pytest

from textmill.config import available_threads, otlp_protocol, prepare_process, server_key, state_folder
from textmill.errors import ConfigInvalid


@pytest.fixture
def all_of_it(tmp_path: Path) -> int:
    """The threads that a system without quotas gives this process."""
    return available_threads(tmp_path)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_without_cgroups_affinity_decides(all_of_it: int) -> None:
    assert all_of_it >= 1


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "100000 100000"},
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "199999 100000"},
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "10000 100000"},
        {"proc/self/cgroup": "0::/outer/inner", "sys/fs/cgroup/outer/cpu.max": "150000 100000"},
        {"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "max 100000", "sys/fs/cgroup/cpu.max": "1000 1000"},
        {"proc/self/cgroup": "0::/../elsewhere", "sys/fs/cgroup/cpu.max": "100000 100000"},
        {
            "proc/self/cgroup": "12:memory:/m\n4:cpu,cpuacct:/docker/x\n0::/",
            "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "100000",
            "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000",
        },
        {
            "proc/self/cgroup": "4:cpuacct,cpu:/docker/of/the/host",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    ],
    ids=["one", "just under two", "a tenth", "of a parent", "of the root", "outside", "v1", "v1 in a container"],
)
def test_a_quota_of_less_than_two_cpus_is_one_thread(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)

    assert available_threads(tmp_path) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "102400000 100000"},
        {"proc/self/cgroup": "0::/gone"},
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    ],
    ids=["no limit", "more than there is", "no files", "v1 without a limit"],
)
def test_no_quota_or_a_large_one_leaves_affinity(tmp_path: Path, all_of_it: int, files: dict[str, str]) -> None:
    write(tmp_path, files)

    assert available_threads(tmp_path) == all_of_it


def test_libraries_get_their_threads_unless_the_user_has_said() -> None:
    environ = {"RAYON_NUM_THREADS": "9"}

    prepare_process(2, environ)

    assert environ == {"RAYON_NUM_THREADS": "9", "TOKENIZERS_PARALLELISM": "true"}


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, None),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            "http/protobuf",
        ),
    ],
)
def test_the_protocol_of_traces_is_that_of_opentelemetrys_variables(
    environ: dict[str, str], protocol: str | None
) -> None:
    assert otlp_protocol(environ) == protocol


def test_a_protocol_that_textmill_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'"):
        otlp_protocol({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.openai.com", ("o", "OPENAI_API_KEY")),
        ("API.mistral.ai", ("", "MISTRAL_API_KEY")),
        ("127.0.0.1", ("t", "TEXTMILL_API_KEY")),
        ("api.openai.com.example.org", ("t", "TEXTMILL_API_KEY")),
    ],
)
def test_a_key_goes_to_its_own_host_only(host: str, expected: tuple[str, str]) -> None:
    assert server_key(host, {"OPENAI_API_KEY": "o", "TEXTMILL_API_KEY": " t , u"}) == expected


def test_what_people_did_is_kept_where_the_system_says() -> None:
    assert state_folder({"XDG_STATE_HOME": "/var/x"}) == Path("/var/x/textmill")
    assert state_folder({}) == Path("~/.local/state/textmill").expanduser()
