"""How LocalAI spells our options: its flags, and its variables, each as LOCALAI_NAME and most without the prefix too.

Only `textmill serve` and `textmill doctor` read them. Names without the prefix that much other software has as well, such as
THREADS or DEBUG, count where something else shows that LocalAI is meant: `environ_of`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from textmill.config.option import WORDS, nearest, options_of
from textmill.config.options import ServeOptions
from textmill.config.preloads import listed, preload_file, preload_list
from textmill.config.spelling import Read, Said, Spelling, Table, Unset, as_it_is
from textmill.config.tei import log_level
from textmill.errors import ConfigInvalid

PREFIX = "LOCALAI_"
_OURS = {option.name for option in options_of(ServeOptions)}
_HTTP = re.compile(r"(?P<host>[^:\[\]]*|\[[^\]]+\]):(?P<port>\d{1,5})")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_IDLE_SECONDS = 15 * 60
"""How long LocalAI's watchdog waits unless it is told."""
_MEGABYTE = 1 << 20


def _is_true(said: Said) -> bool:
    """Raises ConfigInvalid for what is neither true nor false."""
    try:
        return WORDS[said.text.strip().lower()]
    except KeyError:
        msg = f"{said.where} is {said.text!r}; it can be true or false"
        raise ConfigInvalid(msg) from None


def _parted(said: Said) -> tuple[str, str]:
    found = _HTTP.fullmatch(said.text.strip())
    if found is None:
        msg = f"{said.where} is {said.text!r}, which is no address such as :8080 or 127.0.0.1:8080"
        raise ConfigInvalid(msg)
    return found["host"].strip("[]"), found["port"]


def _host(said: Said) -> object:
    return _parted(said)[0] or "0.0.0.0"  # noqa: S104 - LocalAI's :8080 is all addresses


def _port(said: Said) -> object:
    return _parted(said)[1]


def _debug(said: Said) -> object:
    return "debug" if _is_true(said) and "log-level" not in said.others else None


def _context(said: Said) -> object:
    return None if said.text.strip() == "0" else said.text  # 0 is the model's own


def _none_if_zero(said: Said) -> object:
    return None if said.text.strip() == "0" else said.text


def _f16(said: Said) -> object:
    """On a GPU as LocalAI has it; on a CPU auto takes bfloat16 wherever the CPU has it."""
    return "bfloat16" if _is_true(said) and said.others.get("device", "cpu").startswith("cuda") else None


def _keys(said: Said) -> object:
    return listed(said.text)


def _cors(said: Said) -> object:
    origins = said.others.get("cors-allow-origins")
    return (listed(origins) if origins else ("*",)) if _is_true(said) else None


def _origins(said: Said) -> object:
    switch = said.others.get("cors", "true")
    return listed(said.text) if WORDS.get(switch.strip().lower(), True) else None


def _upload(said: Said) -> object:
    try:
        return int(said.text) * _MEGABYTE
    except ValueError:
        msg = f"{said.where} is {said.text!r}; it is a number of megabytes"
        raise ConfigInvalid(msg) from None


def _single(said: Said) -> object:
    return 1 if _is_true(said) else None


def _watchdog(said: Said) -> object:
    timeout = said.others.get("watchdog-idle-timeout")
    seconds = duration(timeout, "WATCHDOG_IDLE_TIMEOUT") if timeout else _IDLE_SECONDS
    return _whole(seconds) if _is_true(said) else None


def _idle(said: Said) -> object:
    seconds = duration(said.text, said.where)
    on = WORDS.get(said.others.get("enable-watchdog-idle", "false").strip().lower(), False)
    return _whole(seconds) if on else None


def _whole(seconds: float) -> object:
    """Whole seconds, at least one; none at all never unloads: a model that leaves at once would load for each request."""
    return max(1, round(seconds)) if seconds else Unset.UNSET


def duration(text: str, where: str) -> float:
    """Seconds of a duration as Go writes it, such as 15m, 1h30m, 500ms or 0. Raises ConfigInvalid."""
    if text.strip() == "0":
        return 0.0
    parts = _DURATION.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        msg = f"{where} is {text!r}, which is no duration such as 15m, 1h30m or 90s"
        raise ConfigInvalid(msg)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _not(said: Said) -> object:
    return not _is_true(said)


def _autoload(said: Said) -> object:
    """LocalAI installs what its galleries list; --auto-download would let everyone fetch any repository, so true is not that."""
    return None if _is_true(said) else False


def _config_dir(said: Said) -> object:
    """The file of keys in LocalAI's folder of changing settings, where there is one."""
    file = Path(said.text).expanduser() / "api_keys.json"
    return str(file) if file.is_file() else None


def _row(
    name: str,
    option: str | None,
    *bare: str,
    read: Read = as_it_is,
    shared: bool = False,
    help: str = "",  # noqa: A002 - the flag's
    **attributes: Any,
) -> Spelling:
    """A row whose variables are LOCALAI_NAME, and the ``bare`` ones that it has besides."""
    known = option if option in _OURS else None
    usual = name.replace("-", "_").upper()
    usual = usual.removeprefix(PREFIX)
    names = dict.fromkeys((PREFIX + usual, *(PREFIX + other for other in bare), *(bare or (usual,))))
    told = help or (f"The same as --{known.replace('_', '-')}." if known else "Taken and without effect.")
    return Spelling(
        name=name,
        option=known,
        variables=tuple(names),
        read=read,
        shared=shared,
        hidden=known is None,
        prefix="localai_",
        help=told,
        **attributes,
    )


def _none(name: str, *bare: str, **attributes: Any) -> Spelling:
    return _row(name, None, *bare, **attributes)


_USERS = "textmill keeps no database of users; give API keys, or put a proxy that knows the users before it"
_ONLY_PRELOAD = (
    "a server that answers nothing is none of textmill's; install models with PRELOAD_MODELS or MODELS and start it"
)

SPELLINGS = (
    _row("address", "host", read=_host, shared=True, help="HOST:PORT to listen on; :8080 is all addresses."),
    _row("address", "port", read=_port, shared=True, help="HOST:PORT to listen on; :8080 is all addresses."),
    _row("models-path", "models_path"),
    _row("models-config-file", "models_config_file", "CONFIG_FILE", shared=True),
    _row("config-file", "models_config_file", "CONFIG_FILE", shared=True),
    _row(
        "localai-config-dir",
        "api_key_file",
        "CONFIG_DIR",
        read=_config_dir,
        shared=True,
        help="Folder with api_keys.json.",
    ),
    _row("galleries", "galleries"),
    _row(
        "autoload-galleries",
        "auto_download",
        read=_autoload,
        switch=True,
        help="False is --no-auto-download; true changes nothing.",
    ),
    _row("preload-models", "preload", read=preload_list, adds=True, help="JSON list of models to install."),
    _row("preload-models-config", "preload", read=preload_file, adds=True, help="YAML file of models to install."),
    _row("models", "preload", read=_keys, shared=True, adds=True, help="Models to install, commas between them."),
    _row("load-to-memory", "load", read=_keys),
    _none("preload-backend-only", switch=True, refusal=_ONLY_PRELOAD),
    _row("threads", "threads", shared=True),
    _row("context-size", "max_input_length", read=_context, shared=True),
    _row("f16", "dtype", read=_f16, shared=True, switch=True, help="bfloat16 on a GPU."),
    _row("api-keys", "api_key", "API_KEY", read=_keys, blank=False, help="API keys, commas between them."),
    _row("cors", "cors_origin", read=_cors, shared=True, switch=True, help="Let pages of any origin call."),
    _row("cors-allow-origins", "cors_origin", read=_origins, help="Origins, commas between them."),
    _row("upload-limit", "body_limit", read=_upload, help="Largest request body in megabytes."),
    _row("allow-insecure-public-bind", "allow_insecure_public_bind", switch=True),
    _row("disable-gallery-endpoint", "disable_gallery_endpoint", switch=True),
    _row("disable-metrics-endpoint", "metrics", read=_not, switch=True, help="Leave out /metrics."),
    _row("external-grpc-backends", "external_grpc_backends"),
    _row("single-active-backend", "max_loaded_models", read=_single, switch=True, help="Load one model at a time."),
    _row("max-active-backends", "max_loaded_models", read=_none_if_zero),
    _row(
        "enable-watchdog-idle",
        "idle_unload_seconds",
        "WATCHDOG_IDLE",
        read=_watchdog,
        switch=True,
        help="Unload models that were idle for 15 minutes, or for the next.",
    ),
    _row(
        "watchdog-idle-timeout",
        "idle_unload_seconds",
        read=_idle,
        help="Such as 15m, 0 for never; with the former only.",
    ),
    _row("max-concurrent-backend-requests", "max_concurrent_requests", read=_none_if_zero),
    _row("debug", "log_level", read=_debug, shared=True, switch=True, help="The same as --log-level debug."),
    _row("log-level", "log_level", read=log_level, ignored="names no level"),
    _none("auth", switch=True, shared=True, refusal=_USERS),
    *(
        _none(name, switch=True)
        for name in (
            *("autoload-backend-galleries", "disable-csrf", "disable-web-ui", "disable-runtime-settings"),
            *("enable-watchdog-busy", "enable-memory-reclaimer", "force-eviction-when-busy", "size-aware-eviction"),
            *("opaque-errors", "subtle-key-comparison", "disable-api-key-requirement-for-http-get"),
            *("disable-predownload-scan", "require-backend-integrity"),
            *("disable-http-compression", "enable-tracing", "ollama-api-root-endpoint", "parallel-requests"),
            *("disable-hardware-defaults", "disable-guessing"),
        )
    ),
    *(
        _none(name)
        for name in (
            *("backends-path", "backends-system-path", "localai-config-dir-poll-interval", "backend-galleries"),
            *("external-backends", "watchdog-busy-timeout", "watchdog-interval", "memory-reclaimer-threshold"),
            *("vram-budget", "lru-eviction-max-retries", "lru-eviction-retry-interval", "model-load-failure-cooldown"),
            *("http-get-exempted-endpoints", "http-compression-min-length", "tracing-max-items"),
            *("tracing-max-body-bytes", "machine-tag", "image-path", "audio-path", "upload-path", "config-path"),
            *("backend-assets-path", "base-url"),
        )
    ),
    *(
        Spelling(name=name, option=name.lower(), variables=(PREFIX + name, name), hidden=True)
        for name in ("LLAMACPP_PARALLEL", "LLAMACPP_GRPC_SERVERS")
    ),
    *(
        Spelling(name=name, option=None, variables=(PREFIX + name, name), shared=True, hidden=True)
        for name in (
            *("PYTHON_GRPC_MAX_WORKERS", "REBUILD"),
            *("BUILD_TYPE", "EXTRA_BACKENDS", "GO_TAGS", "DISABLE_WEBUI", "WATCHDOG_BUSY", "MEMORY_RECLAIMER"),
            *("BACKEND_SYSTEM_PATH", "GENERATED_CONTENT_PATH"),
        )
    ),
)
"""Every flag and variable. An option that a version of textmill does not have is without effect in it."""
TABLE = Table("LocalAI", SPELLINGS)

_OF_A_SERVICE = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_COMMON = {
    *(row.variables[-1] for row in SPELLINGS if row.shared),
    *(
        "API_KEY",
        "CONFIG_DIR",
        "LOG_LEVEL",
        "BASE_URL",
        "UPLOAD_LIMIT",
        "UPLOAD_PATH",
        "IMAGE_PATH",
        "AUDIO_PATH",
    ),
    *("CONFIG_PATH", "MACHINE_TAG", "ENABLE_TRACING", "CORS_ALLOW_ORIGINS", "MODELS_PATH"),
}
"""Names without the prefix that are too common to show that LocalAI is meant."""
_CONFIG_DIR = f"{PREFIX}CONFIG_DIR"
ENV_FILES = (".env", "localai.env", "~/localai.env", "~/.config/localai.env", "/etc/localai.env")
"""Files that LocalAI reads and textmill does not."""


def meant(flags: Mapping[str, object], environ: Mapping[str, str], models: Path) -> bool:
    """Whether a server is to be configured as LocalAI is.

    So it is where one of its flags is given, a variable LOCALAI_NAME or one that nobody else has is set, MODELS_PATH names a
    folder, or the models folder holds a model file.
    """
    if any(flags.get(row.parameter) not in (None, ()) for row in SPELLINGS if row.own):
        return True
    for name in (name for row in SPELLINGS for name in row.variables if name in environ):
        if name.startswith(PREFIX) or (name not in _COMMON and environ[name].strip()):
            return True
    path = environ.get("MODELS_PATH", "").strip()
    return bool(path and Path(path).is_dir()) or any(_model_files(models))


def environ_of(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variables that are read as LocalAI's, where it is meant."""
    names = {name for row in SPELLINGS for name in row.variables}
    found = {name: text for name, text in environ.items() if name in names}
    # Keys that LocalAI would have found by itself must not be lost: the server would be open.
    default = {_CONFIG_DIR: "configuration"} if Path("configuration/api_keys.json").is_file() else {}
    return {**default, **found}


def unknown(environ: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Notes on variables LOCALAI_NAME that nobody knows."""
    names = {name for row in SPELLINGS for name in row.variables if name.startswith(PREFIX)}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in names and not _OF_A_SERVICE.fullmatch(name):
            yield logging.WARNING, f"{name} is not taken: textmill does not know it{nearest(name, names, PREFIX)}"


def env_files() -> Iterator[tuple[int, str]]:
    """Notes on files that LocalAI would read."""
    for name in ENV_FILES:
        if Path(name).expanduser().is_file():
            yield (
                logging.WARNING,
                f"{name} is not read, as LocalAI would; give it to docker by --env-file, or to the shell that starts textmill",
            )


def _model_files(folder: Path) -> Iterator[Path]:
    try:
        for file in folder.iterdir():
            if file.suffix in (".yaml", ".yml") and not file.name.startswith("."):
                yield file
    except OSError:
        return
