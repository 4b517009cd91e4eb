"""What the driver and its workers say to each other: one JSON line each way."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True):
    """What every contender gets: the same weights, the same cores.

    ``model`` is what textmill is asked for, ``folder`` holds the same checkpoint for the peers, ``onnx`` its exported graph
    (None where it could not be exported).
    """

    model: str
    folder: str
    onnx: str | None
    cores: tuple[int, ...]
    length_limit: int


class Start(msgspec.Struct, frozen=True):
    """A worker's only argument."""

    contender: str
    settings: Settings
    workloads: str


class Embed(msgspec.Struct, frozen=True, tag=True):
    """Embed the bulk texts of a workload in one call; write the vectors to ``save`` as ``.npy`` where a path is given."""

    workload: str
    save: str | None = None


class Answer(msgspec.Struct, frozen=True, tag=True):
    """Let ``clients`` callers ask for ``texts`` texts at a time, each again as soon as it is answered, for ``seconds``."""

    workload: str
    texts: int
    clients: int
    seconds: float


class Beside(msgspec.Struct, frozen=True, tag=True):
    """Time single-text requests for ``seconds`` alone, then as long beside one request of all texts of ``bulk``."""

    single: str
    bulk: str
    seconds: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The contender is loaded. ``server`` is the process id of its server where it has one."""

    seconds: float
    note: str = ""
    server: int | None = None


class Skipped(msgspec.Struct, frozen=True, tag=True):
    """The contender cannot run here; ``reason`` is one sentence."""

    reason: str


class Timed(msgspec.Struct, frozen=True, tag=True):
    """One bulk call. ``tokens`` are those that reach the model, special tokens included."""

    seconds: float
    texts: int
    tokens: int


class Answered(msgspec.Struct, frozen=True, tag=True):
    """One run of clients. ``client_cpu`` is the load generator's share of all cores, 0 to 1, None where it is in-process."""

    seconds: float
    requests: int
    texts: int
    tokens: int
    p50_ms: float
    p99_ms: float
    client: str
    client_cpu: float | None = None


class Besides(msgspec.Struct, frozen=True, tag=True):
    """Latency of single-text requests alone and beside a bulk request, in milliseconds; ``reason`` where it was refused.

    ``batch_tokens`` is the most that the server puts in a batch, by its own word, 0 where it does not say.
    """

    alone_p50_ms: float = 0.0
    alone_p99_ms: float = 0.0
    beside_p50_ms: float = 0.0
    beside_p99_ms: float = 0.0
    requests: int = 0
    batch_tokens: int = 0
    reason: str = ""


Order = Embed | Answer | Beside
Reply = Ready | Skipped | Timed | Answered | Besides
