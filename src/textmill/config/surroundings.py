"""What is around this process: its CPU, its memory, and what the environment says of the network, without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FEATURES = {
    "avx2": "avx2",
    "avx512f": "avx512",
    "avx512_bf16": "avx512_bf16",
    "avx512_vnni": "avx512_vnni",
    "amx_tile": "amx",
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
    "asimd": "neon",
    "bf16": "bf16",
    "sve": "sve",
}
"""Flags of /proc/cpuinfo, of x86 and of Arm, and what they are called."""
_NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HF_ENDPOINT", "HF_MIRROR", "HF_HUB_OFFLINE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
_CREDENTIALS = re.compile(r"(?!/[^/])(?P<scheme>(?:[a-z][a-z0-9+.-]*:)?//)?.*@", re.IGNORECASE | re.DOTALL)
"""What stands before an address, up to its last @: a password may have any character in it. A path of a file has none."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """Its ``model``, empty where the system does not say; its ``features`` that matter here; ``cores`` the system has."""

    model: str
    features: tuple[str, ...]
    cores: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes; None where the system does not say, and for a ``limit`` where no cgroup sets one."""

    total: int | None
    available: int | None
    limit: int | None


def cpu(root: Path = Path("/")) -> Cpu:
    """The CPU as Linux describes it."""
    fields: dict[str, str] = {}
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    found = tuple(called for flag, called in _FEATURES.items() if flag in flags)
    return Cpu(fields.get("model name", ""), found, os.cpu_count() or 1)


def memory(root: Path = Path("/")) -> Memory:
    """The machine's memory, and the smallest limit of the cgroups that this process is in (v2 and v1)."""
    sizes = {
        name: int(value.split()[0]) * 1024
        for name, _, value in (line.partition(":") for line in _text(root / "proc/meminfo").splitlines())
        if value.split()[:1] and value.split()[0].isdigit()
    }
    total = sizes.get("MemTotal")
    limits = [limit for limit in _limits(root) if total is None or limit < total]
    return Memory(total, sizes.get("MemAvailable"), min(limits, default=None))


def network(environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The variables about the network that are set, without users and passwords in their URLs."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - the room that reads the environment
    return {name: _without_user(environ[name].strip()) for name in _NETWORK if environ.get(name, "").strip()}


def _without_user(address: str) -> str:
    found = _CREDENTIALS.match(address)
    return address if found is None else f"{found['scheme'] or ''}***@{address[found.end() :]}"


def _limits(root: Path) -> list[int]:
    found = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        group = mount / path.lstrip("/")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        for folder in (group, *group.parents):
            if folder.is_relative_to(mount):
                text = _text(folder / name).strip()
                if text.isdigit():  # else it says max, or there is none
                    found.append(int(text))
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
