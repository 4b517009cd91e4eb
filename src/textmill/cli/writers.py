"""Models of transformers and of OpenVINO GenAI that write text, as a server's options and their files have them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from textmill.config import ServeOptions, available_threads, child_environment

if TYPE_CHECKING:
    from textmill.checkpoint.hub import Location
    from textmill.folder.model import ModelFile
    from textmill.providers.usual import Usual
    from textmill.store.served import Served

_DEVICES = ("cpu", "cuda", "mps")
_GRAPH = "openvino_model.xml"


def load_writer(file: ModelFile, options: ServeOptions, usual: Usual, bar: type[Any] | None) -> Served:
    """The model of a file, which answers as ``usual`` says.

    ``options`` are the server's with the file's in them, ``bar`` is told of the bytes of a download. Raises ExtraMissing, ModelBroken, ModelNotFound, ConfigInvalid.
    """
    from textmill.providers.causal_opening import Place, open_causal  # noqa: PLC0415 - with the model

    found = _found(file, options, bar, "torch")
    own = file.options
    place = Place(
        name=file.name,
        source=found.source,
        folder=found.folder,
        revision=found.revision,
        device=options.device if options.device.partition(":")[0] in _DEVICES else "cpu",
        threads=options.threads or available_threads(),
        context=_count(own.get("max_input_length")),
        rows=_count(own.get("max_batch_requests")),
        part=_count(own.get("max_batch_tokens")),
    )
    model = open_causal(place, file.fields)
    model.usual = usual
    return model


def load_openvino(file: ModelFile, options: ServeOptions, usual: Usual, bar: type[Any] | None) -> Served:
    """The model of a file that OpenVINO GenAI writes with, as `load_writer`."""
    from textmill.providers.genai.opening import Place, open_genai  # noqa: PLC0415 - with the model

    found = _found(file, options, bar, "openvino", _GRAPH)
    own = file.options
    place = Place(
        name=file.name,
        source=found.source,
        folder=found.folder,
        revision=found.revision,
        device=_device(file, options),
        threads=options.threads or available_threads(),
        context=_count(own.get("max_input_length")),
        rows=_count(own.get("max_batch_requests")),
        part=_count(own.get("max_batch_tokens")),
    )
    model = open_genai(place, file.fields, child_environment())
    model.usual = usual
    return model


def _device(file: ModelFile, options: ServeOptions) -> str:
    """OpenVINO's device: what the file says, else the server's own where it is OpenVINO's too."""
    stated = str((file.fields.textmill or {}).get("device") or "") or file.fields.main_gpu or ""
    return stated or ("cpu" if options.device.startswith(("cuda", "mps")) else options.device)


def weigh_openvino(file: ModelFile, options: ServeOptions, bar: type[Any] | None) -> int:
    """The bytes of a model's weights, which are brought to this machine if need be; raises as `load_writer`."""
    weights = (_found(file, options, bar, "openvino", _GRAPH).folder / _GRAPH).with_suffix(".bin")
    return weights.stat().st_size if weights.is_file() else 0


def _found(
    file: ModelFile, options: ServeOptions, bar: type[Any] | None, backend: str, graph: str | None = None
) -> Location:
    from textmill.checkpoint.hub import resolve  # noqa: PLC0415 - with the model

    return resolve(
        file.model,
        revision=options.revision,
        token=options.token,
        offline=options.offline,
        cache_dir=Path(options.cache_dir) if options.cache_dir else None,
        backend=backend,
        file=graph,
        bar=bar,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
