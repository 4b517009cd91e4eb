"""The store: models by the names that clients use."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from textmill.errors import ConfigInvalid, ModelNotFound
from textmill.store.model import Model


class Store:
    """Loaded models by name; the first one is the default. Raises ConfigInvalid for two models of one name."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models: dict[str, Model] = {}
        for model in models:
            other = self._models.setdefault(model.info.name, model)
            if other is not model:
                msg = (
                    f"two models would be called {model.info.name!r}: {other.info.source} and {model.info.source}; "
                    "rename one of the folders"
                )
                raise ConfigInvalid(msg)
        self._names = {alias: model for model in models for alias in model.info.aliases} | self._models
        self._default = models[0]

    def get(self, name: str | None) -> Model:
        """The model of that name, or by its hub id or folder; None means the default. Raises ModelNotFound."""
        if not name:
            return self._default
        model = self._names.get(name)
        if model is None:
            near = difflib.get_close_matches(name, self._names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            msg = f"no model {name!r} is loaded; there is {', '.join(self._models)}{hint}"
            raise ModelNotFound(msg)
        return model

    def models(self) -> Sequence[Model]:
        """All models, the default first."""
        return list(self._models.values())

    @property
    def ready(self) -> bool:
        """Whether every model can answer."""
        return all(model.ready for model in self._models.values())

    def close(self, drain_s: float = 10.0) -> None:
        """Close all models at the same time, each with the same deadline in seconds."""
        with ThreadPoolExecutor(len(self._models)) as pool:
            list(pool.map(lambda model: model.close(drain_s), self._models.values()))
