"""Compile `tei.proto` to the descriptors that the server loads. `make fix` runs it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOM = Path(__file__).parents[1] / "src/textmill/grpc"
COMPILED = ROOM / "tei.binpb"


def compiled() -> bytes:
    """The file's descriptors, as a FileDescriptorSet without comments."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        failed = protoc.main(["protoc", f"-I{ROOM}", f"--descriptor_set_out={out}", "tei.proto"])
        if failed:
            msg = "protoc refuses tei.proto; it has said why"
            raise RuntimeError(msg)
        return out.read_bytes()


if __name__ == "__main__":
    COMPILED.write_bytes(compiled())
