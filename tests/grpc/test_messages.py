from __future__ import annotations

import numpy as np
import pytest
from scripts.proto import SOURCES, compiled

from textmill.errors import InvalidInput
from textmill.grpc.messages import EmbedAllResponse, EmbedRequest, EmbedResponse, parsed, vector, vectors


def test_the_descriptors_are_what_the_proto_compiles_to() -> None:
    assert SOURCES[0].with_suffix(".binpb").read_bytes() == compiled(SOURCES[0])


@pytest.mark.parametrize("length", [1, 31, 32, 384, 5000])
def test_a_vector_is_written_as_protobuf_writes_it(length: int) -> None:
    values = np.random.default_rng(length).standard_normal(length).astype(np.float32)

    assert vector(values) == EmbedResponse(embeddings=values.tolist()).SerializeToString()


def test_vectors_are_written_as_protobuf_writes_them() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 200)).astype(np.float32)
    message = EmbedAllResponse(token_embeddings=[{"embeddings": row.tolist()} for row in rows])

    assert vectors(rows) == message.SerializeToString()


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\x09abc"])
def test_bytes_that_are_no_message_are_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"not a tei\.v1\.EmbedRequest"):
        parsed(EmbedRequest, data)
