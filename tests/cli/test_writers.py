from __future__ import annotations

from pathlib import Path

import pytest

from textmill.cli.models import open_store
from textmill.cli.writers import _device, load_writer, weigh_openvino
from textmill.config import ServeOptions
from textmill.contract import ChatOptions, Message, Piece, Sampling
from textmill.folder.scan import scan
from textmill.providers.usual import Usual
from textmill.telemetry import Telemetry
from textmill.testing.causal import saying_writer, tiny_writer
from textmill.testing.genai import as_openvino


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


@pytest.mark.parametrize(
    ("stated", "device", "wanted"),
    [
        ("", "cpu", "cpu"),
        ("", "gpu.1", "gpu.1"),
        ("", "cuda:0", "cpu"),
        ("main_gpu: 'AUTO:-CPU'", "cpu", "AUTO:-CPU"),
        ("main_gpu: cuda", "cpu", "cuda"),
        ("main_gpu: GPU, textmill: {device: cpu}", "gpu", "cpu"),
    ],
)
def test_openvinos_device_is_what_the_file_says_else_the_servers(
    tmp_path: Path, stated: str, device: str, wanted: str
) -> None:
    as_openvino(tiny_writer(tmp_path / "weights"))
    (tmp_path / "a.yaml").write_text(f"{{name: m, parameters: {{model: weights}}, {stated}}}")
    file = scan(tmp_path).find("m")
    assert file is not None
    assert (file.engine, file.refusal) == ("openvino-genai", None)

    assert _device(file, ServeOptions(device=device)) == wanted


@pytest.mark.timeout(60)
async def test_a_folder_in_openvinos_form_is_chatted_with_as_its_file_says(tmp_path: Path) -> None:
    folder = as_openvino(saying_writer(tmp_path / "weights", "good day to you"))
    (tmp_path / "a.yaml").write_text(
        "{name: ov, backend: transformers, type: OVModelForCausalLM, context_size: 100, threads: 1, stopwords: [' to'],\n"
        " template: {use_tokenizer_template: true}, parameters: {model: weights, batch: 32, temperature: 0}}"
    )
    store = open_store(ServeOptions(models_path=str(tmp_path), threads=1, load=("ov",)), Telemetry())
    async with store.lease("ov") as model:
        said = [event async for event in model.chat([Message(role="user", content="hi")], ChatOptions())]
        info = model.info
    [file] = [each for each in scan(tmp_path).files if each.name == "ov"]
    weighed = weigh_openvino(file, ServeOptions(), None)
    store.close()

    assert "".join(event.text for event in said if isinstance(event, Piece)) == "good day"
    assert (info.runtime, info.max_tokens, info.batch_tokens) == ("openvino-genai", 100, 32)
    assert weighed == (folder / "openvino_model.bin").stat().st_size


async def test_a_folder_of_the_models_folder_is_chatted_with(tmp_path: Path) -> None:
    saying_writer(tmp_path / "weights", "good day")
    store = open_store(ServeOptions(models_path=str(tmp_path), threads=1, load=("weights",)), Telemetry())
    async with store.lease("weights") as model:
        events = model.chat([Message(role="user", content="hi")], ChatOptions(sampling=Sampling(temperature=0.0)))
        said = [event async for event in events]
    store.close()

    assert "".join(event.text for event in said if isinstance(event, Piece)) == "good day"
