"""The backends outside of textmill, as the options have them, and their models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textmill.config import ServeOptions, available_threads, child_environment

if TYPE_CHECKING:
    from textmill.folder.external import External
    from textmill.folder.model import ModelFile
    from textmill.store.served import Served


def externals(options: ServeOptions) -> Mapping[str, External]:
    """The backends by their names in lower case. Raises ConfigInvalid for one that is neither an address nor a file that runs."""
    from textmill.folder.external import external_backends  # noqa: PLC0415 - with the models folder

    return external_backends(",".join(options.external_grpc_backends), where="external_grpc_backends")


class Externals:
    """Opens the models of a server that backends outside of it run."""

    def __init__(self, options: ServeOptions) -> None:
        from textmill.providers.places import Places  # noqa: PLC0415 - with the models

        self._options = options
        self._places = Places()

    def load(self, file: ModelFile, external: External) -> Served:
        """The model of a file whose backend that is. Raises ExtraMissing, and what `textmill.providers.opening.open_model` does."""
        from textmill.providers.extra import need_grpc  # noqa: PLC0415 - gRPC takes a tenth of a second

        need_grpc()
        from textmill.providers.opening import open_model  # noqa: PLC0415

        return open_model(
            file,
            external,
            Path(self._options.models_path).absolute(),
            threads=self._options.threads or available_threads(),
            environ=child_environment(),
            places=self._places,
        )
