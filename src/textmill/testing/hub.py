"""A Hugging Face hub on loopback that serves one folder, for tests of downloads."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "c0ffee" + "0" * 34
"""The commit that a `FakeHub` serves."""


class FakeHub(ThreadingHTTPServer):
    """One repository, ``owner/tiny``, at one commit: the files of ``folder``.

    A ``refusal``, a status with the hub's error code, answers every request instead; ``unready``, a status, those for files, and where the
    hub is ``cutting``, only half of each file comes. ``asked`` lists the paths requested.
    """

    repo = "owner/tiny"
    folder = Path()
    refusal: tuple[int, str] | None = None
    unready: int | None = None
    cutting = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked: list[str] = []

    @property
    def endpoint(self) -> str:
        """The URL to give as huggingface_hub's endpoint."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        hub = self.server
        path = self.path.partition("?")[0]
        hub.asked.append(path)
        if hub.refusal is not None:
            self._send(
                hub.refusal[0], b"{}", {"X-Error-Code": hub.refusal[1], "X-Error-Message": hub.refusal[1]}, body=body
            )
            return
        files = [file.relative_to(hub.folder).as_posix() for file in hub.folder.rglob("*") if file.is_file()]
        api, resolved = f"/api/models/{hub.repo}", f"/{hub.repo}/resolve/{COMMIT}/"
        if path.startswith(f"{api}/tree/"):
            self._json(
                [
                    {"type": "file", "path": file, "size": (hub.folder / file).stat().st_size, "oid": file}
                    for file in files
                ]
            )
        elif path.startswith(api):
            self._json({"id": hub.repo, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]})
        elif hub.unready is not None:
            self._send(hub.unready, b"", {}, body=body)
        elif path.removeprefix(resolved) in files:
            raw = (hub.folder / path.removeprefix(resolved)).read_bytes()
            headers = {"ETag": f'"{hashlib.sha1(raw).hexdigest()}"', "X-Repo-Commit": COMMIT}  # noqa: S324 - git's
            self._send(200, raw, headers, body=body, cut=hub.cutting)
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, body=True)

    def _send(self, status: int, raw: bytes, headers: dict[str, str], *, body: bool, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(raw[: len(raw) // 2] if cut else raw)
            self.close_connection = cut or self.close_connection

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Keep requests off the terminal."""


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Run a hub until the end of the block; give it its ``folder`` inside."""
    server = FakeHub(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
