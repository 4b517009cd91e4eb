"""Loads the models of model files, each by the engine that it is for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from textmill.cli.expecting import as_expected
from textmill.cli.externals import Externals
from textmill.cli.servers import ENGINES
from textmill.contract import USUAL, EmbedDefaults

if TYPE_CHECKING:
    from textmill.cache.cache import Cache
    from textmill.config import ServeOptions
    from textmill.folder.model import ModelFile
    from textmill.providers.usual import Usual
    from textmill.store.fetching import Fetching
    from textmill.store.served import Served
    from textmill.telemetry import Telemetry


M = TypeVar("M", bound="Served")


class Loader:
    """Loads models of model files, as these have them, and as the server's options have what they leave open."""

    def __init__(
        self, options: ServeOptions, telemetry: Telemetry, fetching: Fetching, cache: Cache | None = None
    ) -> None:
        self._cache = cache
        self._options = options
        self._telemetry = telemetry
        self._fetching = fetching
        self._externals = Externals(options)
        self._aliases: Callable[[str], Collection[str]] = lambda _: ()

    def called(self, aliases: Callable[[str], Collection[str]]) -> None:
        """Have fingerprints that are expected by other names of a model than its own count, too, which these are."""
        self._aliases = aliases

    def load(self, file: ModelFile) -> Served:
        """The model, in memory or in the process or on the server that runs it.

        Raises ConfigInvalid for another than is expected, by the options or by its own file.
        """
        model = self._load(file)
        for expected in (self._options.expect_fingerprint, self._of(file).expect_fingerprint):
            as_expected(model, expected, self._aliases(file.name))
        return model

    def _load(self, file: ModelFile) -> Served:
        from textmill.telemetry.counted import counted  # noqa: PLC0415

        if file.external is None and file.engine == "ours":
            bar = self._fetching.bar(file.name)
            return load_ours(file.model, self._of(file), self._telemetry, file.name, file.defaults, bar, self._cache)
        with self._telemetry.loading(file.name):
            if file.engine == "python":
                from textmill.providers.custom_opening import open_custom  # noqa: PLC0415 - with the model

                return counted(open_custom(file, self._options.python_models), self._telemetry)
            if file.external is not None:
                return counted(self._externals.load(file, file.external), self._telemetry)
            usual = self._usual(file)
            return counted(self._writer(file, usual), self._telemetry)

    def weigh(self, file: ModelFile) -> int:
        """How many bytes its weights have, on this machine from now on; 0 where they are not in this process."""
        if file.engine in (*ENGINES, "python"):
            return 0
        if file.engine == "gguf":
            from textmill.cli.llamacpp import weigh_gguf  # noqa: PLC0415

            return weigh_gguf(file, self._of(file), self._fetching.bar(file.name))
        if file.engine == "openvino-genai":
            from textmill.cli.writers import weigh_openvino  # noqa: PLC0415 - with the model

            return weigh_openvino(file, self._of(file), self._fetching.bar(file.name))
        from textmill.store.load import weigh  # noqa: PLC0415 - imports the runtime

        return weigh(file.model, self._of(file).for_model(), self._fetching.bar(file.name))

    def needs(self, file: ModelFile, weights: int) -> int:
        """The memory that it takes."""
        from textmill.store.offered import usual_need  # noqa: PLC0415

        if file.engine == "gguf":
            from textmill.cli.llamacpp import gguf_need  # noqa: PLC0415

            return gguf_need(file, self._options, weights)
        return usual_need(file, weights)

    def _writer(self, file: ModelFile, usual: Usual) -> Served:
        """The model of an engine that writes, which answers as its file says."""
        if file.engine in ENGINES:
            from textmill.cli.servers import load_served  # noqa: PLC0415 - with the model

            return load_served(file, self._options, usual)
        if file.engine == "gguf":
            from textmill.cli.llamacpp import load_gguf  # noqa: PLC0415 - with the model

            return load_gguf(file, self._of(file), usual, self._fetching.bar(file.name))
        from textmill.cli.writers import load_openvino, load_writer  # noqa: PLC0415 - with the model

        load = load_openvino if file.engine == "openvino-genai" else load_writer
        return load(file, self._of(file), usual, self._fetching.bar(file.name))

    def _usual(self, file: ModelFile) -> Usual:
        from textmill.providers.usual import usual_of  # noqa: PLC0415 - with the model

        return usual_of(file, Path(self._options.models_path).absolute())

    def _of(self, file: ModelFile) -> ServeOptions:
        return msgspec.structs.replace(self._options, **file.options)


def load_ours(
    name: str,
    options: ServeOptions,
    telemetry: Telemetry,
    called: str | None,
    defaults: EmbedDefaults = USUAL,
    bar: type[Any] | None = None,
    cache: Cache | None = None,
) -> Served:
    """The model of a name or a path that one of textmill's own runtimes runs, or llama.cpp a GGUF file at it. Raises what `textmill.store.load.load_model` does."""
    from textmill.cli.llamacpp import given_gguf, load_gguf  # noqa: PLC0415 - with the models
    from textmill.providers.usual import usual_of  # noqa: PLC0415 - with the model
    from textmill.store.load import load_model  # noqa: PLC0415 - imports the runtime
    from textmill.telemetry.counted import counted  # noqa: PLC0415

    with telemetry.loading(called or name):
        gguf = given_gguf(name, called)
        if gguf is not None:
            model = load_gguf(gguf, options, usual_of(gguf, Path(gguf.model).parent))
            return counted(as_expected(model, options.expect_fingerprint), telemetry)
        model = load_model(
            name,
            options.for_model(),
            telemetry.observe_batch,
            called=called,
            defaults=defaults,
            bar=bar,
            cache=cache,
        )
        return counted(model, telemetry)


def load_one(file: ModelFile, options: ServeOptions, fetching: Fetching, aliases: Collection[str] = ()) -> Served:
    """The model of one file whose weights are here, for a command that serves nobody else; blocks. Raises what its engine raises."""
    from textmill.telemetry import Telemetry  # noqa: PLC0415 - with the model

    loader = Loader(options, Telemetry(), fetching)
    loader.called(lambda _: aliases)
    return loader.load(file)
