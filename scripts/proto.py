"""Compile the `.proto` files to the descriptors that the server and the client load. `make fix` runs it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from grpc_tools import protoc

SOURCES = tuple(
    Path(__file__).parents[1] / "src/textmill" / name for name in ("grpc/tei.proto", "providers/backend.proto")
)


def compiled(source: Path) -> bytes:
    """A file's descriptors, as a FileDescriptorSet without comments."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        failed = protoc.main(["protoc", f"-I{source.parent}", f"--descriptor_set_out={out}", source.name])
        if failed:
            msg = f"protoc refuses {source.name}; it has said why"
            raise RuntimeError(msg)
        return out.read_bytes()


if __name__ == "__main__":
    for each in SOURCES:
        each.with_suffix(".binpb").write_bytes(compiled(each))
