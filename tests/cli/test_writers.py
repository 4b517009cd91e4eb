from __future__ import annotations

from pathlib import Path

from textmill.cli.models import open_store
from textmill.cli.writers import load_writer
from textmill.config import ServeOptions
from textmill.contract import ChatOptions, Message, Piece, Sampling
from textmill.folder.scan import scan
from textmill.providers.usual import Usual
from textmill.telemetry import Telemetry
from textmill.testing.causal import saying_writer, tiny_writer


def test_a_models_file_and_the_servers_options_say_how_it_runs(tmp_path: Path) -> None:
    tiny_writer(tmp_path / "weights", context=400)
    (tmp_path / "a.yaml").write_text(
        "{name: m, type: AutoModelForCausalLM, context_size: 100, dtype: half, threads: 1, quantization: '',\n"
        " parameters: {model: weights, batch: 32, temperature: 0.5}}"
    )
    file = scan(tmp_path).find("m")
    assert file is not None

    model = load_writer(file, ServeOptions(device="GPU", threads=1), Usual(), None)
    model.close(0.0)

    assert (model.info.name, model.info.max_tokens, model.info.dtype) == ("m", 100, "float16")
    assert (model.info.device, model.info.batch_tokens) == ("cpu", 32)


async def test_a_folder_of_the_models_folder_is_chatted_with(tmp_path: Path) -> None:
    saying_writer(tmp_path / "weights", "good day")
    store = open_store(ServeOptions(models_path=str(tmp_path), threads=1, load=("weights",)), Telemetry())
    async with store.lease("weights") as model:
        events = model.chat([Message(role="user", content="hi")], ChatOptions(sampling=Sampling(temperature=0.0)))
        said = [event async for event in events]
    store.close()

    assert "".join(event.text for event in said if isinstance(event, Piece)) == "good day"
