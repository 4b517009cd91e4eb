"""What the clients of the load ask: right requests with their answers known beforehand, wrong ones, and too long ones."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

import textmill
from bench.contenders import Vectors
from textmill.cli.throughput import Workload

POOL: Final = 600
SIZES: Final = (*(1,) * 30, *(2, 3, 5, 8) * 2, 32, 200)
SAME: Final = 0.999
"""Cosine with the reference from which a vector is the right one."""
APART: Final = 0.99
"""No two texts of the pool may be nearer than this, or one could be taken for the other."""
LONG_WORDS: Final = 3000


@dataclass(frozen=True)
class Case:
    """A request, the statuses that it may have, and its vectors where it is answered with 200."""

    kind: str
    request: bytes
    statuses: tuple[int, ...]
    vectors: Vectors | None = None

    def wrong(self, status: int, body: bytes) -> str:
        """What is wrong with an answer; empty where nothing is."""
        if status not in self.statuses:
            return f"{self.kind}: status {status} where {self.statuses} was due: {body[:200]!r}"
        if status != OK or self.vectors is None:
            return ""
        made = _vectors_in(orjson.loads(body))
        if made.shape != self.vectors.shape:
            return f"{self.kind}: {made.shape} vectors where {self.vectors.shape} were due"
        nearest = float(np.einsum("nd,nd->n", made, self.vectors).min())
        return "" if nearest >= SAME else f"{self.kind}: a vector with cosine {nearest:.4f} to the right one"


OK: Final = 200
EMBED: Final = "/embed"
OPENAI: Final = "/v1/embeddings"


class Cases:
    """Draws cases. ``right``, ``malformed`` and ``long`` are made once, so that nothing but the server is busy later."""

    def __init__(self, model: str, address: str, seed: int = 7) -> None:
        chance = random.Random(seed)  # noqa: S311 - repeatable requests, no secret
        texts = Workload("mixed", 0, 250).texts(POOL, seed)
        long = Workload("long", LONG_WORDS, LONG_WORDS).texts(4, seed + 1)
        with textmill.load(model, dtype="float32") as loaded:
            vectors, long_vectors = loaded.embed(texts), loaded.embed(long)
        if np.triu(vectors @ vectors.T, 1).max() > APART:
            message = "two texts are too much alike to tell their vectors apart; take another seed"
            raise ValueError(message)
        self._address = address
        self.right = [self._right(chance, texts, vectors) for _ in range(POOL)]
        self.malformed = [self._post("malformed", path, body, statuses) for path, body, statuses in MALFORMED]
        self.malformed += [
            Case("malformed", f"GET {EMBED} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode(), (405,)),
            Case("malformed", b"this is no request\r\n\r\n", (400,)),
        ]
        self.long = [
            case for text, vector in zip(long, long_vectors, strict=True) for case in self._long(text, vector[None])
        ]

    def _right(self, chance: random.Random, texts: Sequence[str], vectors: Vectors) -> Case:
        chosen = chance.sample(range(len(texts)), chance.choice(SIZES))
        asked: str | list[str] = [texts[i] for i in chosen] if len(chosen) > 1 else texts[chosen[0]]
        due = vectors[chosen]
        if chance.random() < 0.5:  # noqa: PLR2004 - half of them
            return self._post("right", EMBED, orjson.dumps({"inputs": asked}), (OK,), due)
        form = chance.choice(("float", "base64"))
        return self._post("right", OPENAI, orjson.dumps({"input": asked, "encoding_format": form}), (OK,), due)

    def _long(self, text: str, vector: Vectors) -> list[Case]:
        refused = orjson.dumps({"inputs": text, "truncate": False})
        return [
            self._post("too long, to be refused", EMBED, refused, (422,)),
            self._post("too long, to be cut", EMBED, orjson.dumps({"inputs": text}), (OK,), vector),
        ]

    def _post(
        self, kind: str, path: str, body: bytes, statuses: tuple[int, ...], vectors: Vectors | None = None
    ) -> Case:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._address}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return Case(kind, head.encode() + body, statuses, vectors)


MALFORMED: Final[Sequence[tuple[str, bytes, tuple[int, ...]]]] = (
    (EMBED, b"{", (400,)),
    (EMBED, b"", (400,)),
    (EMBED, b"\xff\xfe", (400,)),
    (EMBED, b"{}", (422,)),
    (EMBED, b'{"inputs": 5}', (422,)),
    (EMBED, b'{"inputs": ["a", null]}', (422,)),
    (EMBED, b'{"inputs": [99999999]}', (422,)),
    (EMBED, b'{"inputs": []}', (400,)),
    (OPENAI, b"{", (400,)),
    (OPENAI, b'{"input": {"a": 1}}', (400,)),
    (OPENAI, b'{"input": "a", "model": "no-such-model"}', (404,)),
    (OPENAI, b'{"input": "a", "dimensions": 100000}', (400,)),
    ("/nothing", b"{}", (404,)),
)


def _vectors_in(answer: Any) -> Vectors:
    if isinstance(answer, list):
        return np.array(answer, np.float32)
    rows = [row["embedding"] for row in answer["data"]]
    if isinstance(rows[0], str):
        return np.stack([np.frombuffer(base64.b64decode(row), np.float32) for row in rows])
    return np.array(rows, np.float32)
