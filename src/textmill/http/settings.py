"""The few options of the HTTP room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MAX_INPUTS = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How the app answers; the defaults are those of the options it comes from.

    With no ``api_keys`` everyone may use the models; with ``admin_keys`` only who has one may manage them, see
    `textmill.http.rights`. ``exposed`` says that others than this machine reach the server, ``anyone_installs`` that even then no key
    is needed to install and delete models. ``cors_origins`` lists the web pages that may call from a browser; ``*`` means
    any, an empty tuple none. ``body_limit`` is in bytes, ``max_inputs`` in texts a request, ``drain_s`` in seconds. ``/info``
    says ``client_batch_size`` of the texts a request, which may be fewer than are taken. ``root_task`` is what ``POST /`` does
    with a model of embeddings; the routes are further paths of ``/vertex`` and ``/health``. With ``as_tei`` OpenAI's
    routes refuse what TEI's do, with its statuses; with ``any_model_name`` a name in a body that no model has means the
    default, as TEI has it. Without ``metrics`` there is no ``/metrics``.
    """

    api_keys: tuple[str, ...] = field(repr=False)
    admin_keys: tuple[str, ...] = field(default=(), repr=False)
    exposed: bool = False
    anyone_installs: bool = False
    cors_origins: tuple[str, ...]
    body_limit: int
    drain_s: float
    version: str
    max_inputs: int = MAX_INPUTS
    client_batch_size: int = MAX_INPUTS
    auto_truncate: bool = True
    tei_compat: Literal["1.6", "1.9"] = "1.9"
    max_concurrent_requests: int | None = None
    root_task: Literal["auto", "similarity"] = "auto"
    predict_route: str | None = None
    health_route: str | None = None
    as_tei: bool = False
    any_model_name: bool = False
    metrics: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that may use models; none where everyone may."""
        return (*self.api_keys, *self.admin_keys) if self.api_keys else ()
