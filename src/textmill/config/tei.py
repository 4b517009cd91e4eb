"""The command line of Text Embeddings Inference: how it spells our options, and what it starts with.

Its variables are its flags in upper case without a prefix; `textmill serve` and `textmill tei` read them, nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, cast

from textmill.config.layers import Layer, Stated
from textmill.config.option import WORDS
from textmill.errors import ConfigInvalid

Read = Callable[[str, str], object]
"""Makes our value of a text and the name of where it stands; None leaves the option alone."""

Version = Literal["1.6", "1.9"]


def _as_it_is(text: str, _: str) -> object:
    return text


def _address(text: str, _: str) -> object:
    try:
        ip_address(text)
    except ValueError:
        return None
    return text


def _log_format(text: str, where: str) -> object:
    try:
        return "json" if WORDS[text.strip().lower()] else "text"
    except KeyError:
        msg = f"{where} is {text!r}; it can be true or false"
        raise ConfigInvalid(msg) from None


_LEVELS = {
    **dict.fromkeys(("trace", "5", "debug", "4"), "debug"),
    **dict.fromkeys(("info", "3"), "info"),
    **dict.fromkeys(("warn", "warning", "2"), "warning"),
    **dict.fromkeys(("error", "1", "off", "0"), "error"),
}


def _log_level(text: str, _: str) -> object:
    """The level that no target stands before, in a list such as ``info,otel::tracing=trace``."""
    levels = [_LEVELS[part] for part in map(str.strip, text.lower().split(",")) if part in _LEVELS]
    return levels[-1] if levels else None


def _root_task(text: str, _: str) -> object:
    return "similarity" if text == "sentence-similarity" else None


def _folder(text: str, _: str) -> object:
    return str(Path(text).expanduser())


def _stripped(text: str, _: str) -> object:
    return text.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """TEI's name for an option: a flag without its dashes, or a variable in upper case where there is no flag.

    ``option`` is ours, None where it has no effect here. A value that ``read`` leaves alone is ``ignored`` for that reason, or
    without a word where that is empty.
    ``blank`` says whether a variable may be set but blank. ``help`` is that of a flag that is not spelt as ours.
    """

    name: str
    option: str | None
    read: Read = _as_it_is
    ignored: str = ""
    blank: bool = True
    help: str = ""

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return self.name.replace("-", "_").upper()

    @property
    def flag(self) -> str:
        """Its name on the command line; empty where it has none."""
        return "" if self.name.isupper() else f"--{self.name}"

    @property
    def parameter(self) -> str:
        """The name under which a command gets the flag's value; it is no option's unless the flag is spelt as ours."""
        return self.name.replace("-", "_")

    @property
    def own(self) -> bool:
        """Whether it is a flag that is not spelt as ours."""
        return bool(self.flag) and self.parameter != self.option


def _same(name: str) -> Spelling:
    return Spelling(name=name, option=name.replace("-", "_"))


def _other(name: str, option: str, *, read: Read = _as_it_is, ignored: str = "", blank: bool = True) -> Spelling:
    told = f"The same as --{option.replace('_', '-')}." if option != "models" else "The same as MODEL."
    return Spelling(name=name, option=option, read=read, ignored=ignored, blank=blank, help=told)


def _nothing(name: str) -> Spelling:
    return Spelling(name=name, option=None, help="Taken and without effect.")


SPELLINGS = (
    _other("model-id", "models"),
    _same("revision"),
    _same("tokenization-workers"),
    _same("dtype"),
    _same("served-model-name"),
    _same("pooling"),
    _same("max-concurrent-requests"),
    _same("max-batch-tokens"),
    _same("max-batch-requests"),
    _same("max-client-batch-size"),
    _same("auto-truncate"),
    _same("default-prompt-name"),
    _same("default-prompt"),
    _same("dense-path"),
    _other("hf-token", "token", read=_stripped),
    _other("hf-api-token", "token", read=_stripped),
    _other("hostname", "host", read=_address, ignored="is no IP address"),
    Spelling(name="AIP_HTTP_PORT", option="port"),  # before PORT, as Vertex AI means it
    _same("port"),
    _nothing("uds-path"),
    _other("huggingface-hub-cache", "cache_dir", read=_folder),
    _other("payload-limit", "body_limit"),
    Spelling(name="api-key", option="api_key", blank=False),
    Spelling(name="json-output", option="log_format", read=_log_format, help="The same as --log-format json."),
    _same("disable-spans"),
    _same("otlp-endpoint"),
    _same("otlp-service-name"),
    _same("prometheus-port"),
    _other("cors-allow-origin", "cors_origin"),
    Spelling(name="LOG_LEVEL", option="log_level", read=_log_level, ignored="names no level"),
    Spelling(name="TASK", option="root_task", read=_root_task),
    Spelling(name="GRPC_MAX_PARALLEL_STREAM_REQUESTS", option="grpc_max_parallel_stream_requests"),
    Spelling(name="AIP_PREDICT_ROUTE", option="predict_route"),
    Spelling(name="AIP_HEALTH_ROUTE", option="health_route"),
    _nothing("USE_FLASH_ATTENTION"),
    _nothing("TRUST_REMOTE_CODE"),
    _nothing("DISABLE_TENSOR_CACHE"),
    _nothing("PAD_SEQUENCE_TO_MULTIPLE_OF"),
    _nothing("SEQ_LEN_EXPONENT_BASE"),
    _nothing("MAX_WARMUP_SEQUENCE_LENGTH"),
    _nothing("MAX_WARMUP_BATCH_SIZE"),
)
"""Every flag and variable, in TEI's order. Of two for one option, the first one is taken from the environment."""

SWITCHES = ("json-output",)
"""Flags that take no value."""
DEPRECATED = {"hf-api-token": "--hf-token or HF_TOKEN"}
"""What to use in their place."""

DEFAULTS: Mapping[str, object] = {
    "host": "0.0.0.0",  # noqa: S104 - as its users expect; `textmill serve` does not
    "port": 3000,
    "max_concurrent_requests": 512,
    "body_limit": 2_000_000,
    "cors_origin": ("*",),
    "dtype": "float32",
    "fit_batches": True,
    "log_requests": True,
    "otlp_service_name": "text-embeddings-inference.server",
}
"""What `textmill tei` starts with where that differs from `textmill serve`; `defaults` has the rest."""
BATCH_TOKENS = 16_384
BATCH_SIZE = 32
"""Inputs a request, as `/info` has it; a larger request is refused only where the option is given."""
_OLD_MODEL = "BAAI/bge-large-en-v1.5"


def defaults(version: Version, layer: Layer, *, serve: bool) -> Layer:
    """What stands where nothing else does, given what is stated: of a version, and of `textmill tei` unless it is ``serve``."""
    values: dict[str, object] = {"auto_truncate": False} if version == "1.6" else {}
    if not serve:
        device, tokens = layer.get("device"), layer.get("max_batch_tokens")
        on_cpu = device is None or str(device.value).lower().startswith("cpu")
        values |= DEFAULTS if on_cpu else {**DEFAULTS, "dtype": "float16"}
        # TEI bounds an input by the batch's budget.
        values["max_input_length"] = BATCH_TOKENS if tokens is None else tokens.value
        if version == "1.6":
            values["models"] = (_OLD_MODEL,)
        models = layer["models"].value if "models" in layer else values.get("models")
        if models:
            values["served_model_name"] = cast("tuple[str, ...]", models)[0]
        if "default_prompt_name" not in layer:
            values["default_prompt"] = ""  # TEI does not look at the one that a model's files name
    return {name: Stated(value, "a default") for name, value in values.items()}
