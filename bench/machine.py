"""What the machine and the installed packages are."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.results import Machine

PACKAGES: Final = (
    "textmill",
    "openvino",
    "tokenizers",
    "numpy",
    "sentence-transformers",
    "transformers",
    "torch",
    "onnxruntime",
    "fastembed",
)
SETTLED: Final = 0.03
"""CPU seconds in a second that an idle server may use."""

FLAGS: Final = re.compile(r"avx\w*|amx\w*|fma")


def describe(cores: tuple[int, ...]) -> Machine:
    """Describe this machine; Linux only, as the pinning is."""
    info = Path("/proc/cpuinfo").read_text()
    fields = dict(re.findall(r"^(model name|flags)\s*: (.*)$", info, re.MULTILINE))
    return Machine(
        cpu=f"{fields.get('model name', platform.machine())}, {os.cpu_count()} cores",
        flags=FLAGS.findall(fields.get("flags", "")),
        cores=cores,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={name: found for name in PACKAGES if (found := _version(name))},
    )


def resident(process: int) -> tuple[float, float]:
    """Resident memory of a process now and at its peak, in MB (10^6 bytes)."""
    status = Path(f"/proc/{process}/status").read_text()
    kilobytes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return int(kilobytes["VmRSS"]) * 1024 / 1e6, int(kilobytes["VmHWM"]) * 1024 / 1e6


def busy_seconds(cores: tuple[int, ...]) -> float:
    """CPU seconds that those cores have worked since the machine started, for whomever."""
    lines = re.findall(r"^cpu(\d+) (.*)$", Path("/proc/stat").read_text(), re.MULTILINE)
    fields = {int(core): [int(field) for field in rest.split()] for core, rest in lines}
    idle = (3, 4)  # the fields "idle" and "iowait"
    ticks = sum(sum(fields[core][:8]) - sum(fields[core][field] for field in idle) for core in cores)
    return ticks / os.sysconf("SC_CLK_TCK")


def used_seconds(group: int) -> float:
    """CPU seconds that the living processes of a process group have used."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def used_seconds_of(process: int) -> float:
    """CPU seconds that one living process has used, to the scheduler's own precision."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{process}/task").glob("*/schedstat")) / 1e9


def settle(group: int, patience: float) -> None:
    """Wait until a process group has done next to nothing for a second: its warming is over."""
    end = time.monotonic() + patience
    used, before = used_seconds(group), -math.inf
    while used - before > SETTLED and time.monotonic() < end:
        time.sleep(1.0)
        used, before = used_seconds(group), used


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
