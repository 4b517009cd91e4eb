"""Models of transformers that write text, as a server's options and their files have them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from textmill.config import ServeOptions, available_threads

if TYPE_CHECKING:
    from textmill.folder.model import ModelFile
    from textmill.providers.usual import Usual
    from textmill.store.served import Served

_DEVICES = ("cpu", "cuda", "mps")


def load_writer(file: ModelFile, options: ServeOptions, usual: Usual, bar: type[Any] | None) -> Served:
    """The model of a file, which answers as ``usual`` says.

    ``options`` are the server's with the file's in them, ``bar`` is told of the bytes of a download. Raises ExtraMissing, ModelBroken, ModelNotFound, ConfigInvalid.
    """
    from textmill.checkpoint.hub import resolve  # noqa: PLC0415 - with the model
    from textmill.providers.causal_opening import Place, open_causal  # noqa: PLC0415

    found = resolve(
        file.model,
        revision=options.revision,
        token=options.token,
        offline=options.offline,
        cache_dir=Path(options.cache_dir) if options.cache_dir else None,
        backend="torch",
        bar=bar,
    )
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


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
