"""What this process may use of the machine, and what libraries read of it from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Literal

from textmill.errors import ConfigInvalid


def available_threads(root: Path = Path("/")) -> int:
    """CPU threads that this process can really run at once, at least one.

    The smaller of its affinity and the quota of its cgroups (v1 or v2), rounded down: with one thread more than the quota,
    every parallel step would end in a throttled wait. ``root`` is where proc and sys lie.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *(int(quota) for quota in _quotas(root))]))


def prepare_process(threads: int, environ: MutableMapping[str, str] | None = None) -> None:
    """Say to libraries that read the environment when they are imported how many threads they have.

    To be called before they are; what the user has set stays. The tokenizer's pool gets the same cores as the computing.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the one place that writes it
    environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    environ.setdefault("RAYON_NUM_THREADS", str(threads))


def otlp_protocol(environ: Mapping[str, str] | None = None) -> Literal["grpc", "http/protobuf"] | None:
    """How OpenTelemetry's own variables want traces sent; None where they do not say. Raises ConfigInvalid for another."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - as above
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        wanted = environ.get(name, "").strip()
        if wanted == "grpc":
            return "grpc"
        if wanted == "http/protobuf":
            return "http/protobuf"
        if wanted:
            msg = f"{name} is {wanted!r}; textmill sends traces by grpc or http/protobuf"
            raise ConfigInvalid(msg)
    return None


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where textmill keeps what it can make again (XDG Base Directory Specification)."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - as above
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "textmill"


def sentence_transformers_home(environ: Mapping[str, str] | None = None) -> str | None:
    """The folder of the hub's cache by sentence-transformers' own variable, where textmill's does not name another."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - as above
    return None if environ.get("TEXTMILL_CACHE_DIR") else environ.get("SENTENCE_TRANSFORMERS_HOME") or None


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where textmill keeps what people did, such as the lines they typed (XDG Base Directory Specification)."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - as above
    return Path(environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "textmill"


def server_key(host: str, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The key that is shown to the server on that host, empty where there is none, and the variable that it comes from.

    The keys of OpenAI and of Mistral go to their own hosts only. Where several have commas between them, it is the first.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - as above
    variable = _KEYS.get(host.lower(), "TEXTMILL_API_KEY")
    return environ.get(variable, "").partition(",")[0].strip(), variable


_KEYS = {"api.openai.com": "OPENAI_API_KEY", "api.mistral.ai": "MISTRAL_API_KEY"}


def _quotas(root: Path) -> Iterator[float]:
    """Quotas in CPUs of this process's cgroups and of those around them (Linux, admin-guide/cgroup-v2, sched-bwc)."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("" if not controllers else "cpu")
        group = mount / path.lstrip("/")
        # In a container the path may be the host's; what is above the mount point is not ours to read.
        for folder in (group, *group.parents):
            if folder.is_relative_to(mount):
                yield from _v1(folder) if controllers else _v2(folder)


def _v2(folder: Path) -> Iterator[float]:
    parts = _text(folder / "cpu.max").split()
    if len(parts) == 2 and parts[0] != "max":  # noqa: PLR2004 - quota and period
        yield int(parts[0]) / int(parts[1])


def _v1(folder: Path) -> Iterator[float]:
    quota, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota and period and int(quota) > 0:
        yield int(quota) / int(period)


def _text(file: Path) -> str:
    """A file's text; nothing where the system has no such file."""
    try:
        return file.read_text()
    except OSError:
        return ""
