from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.providers.genai.conftest import Open

from textmill.errors import ConfigInvalid, ModelBroken
from textmill.folder.fields import Fields
from textmill.providers.genai.opening import Place, _properties
from textmill.testing.causal import tiny_writer
from textmill.testing.checkpoints import write_json
from textmill.testing.genai import as_openvino

pytestmark = pytest.mark.timeout(60)  # processes start, and the machine may be busy


def test_the_model_says_what_it_is(opened: Open, folder: Path) -> None:
    model = opened(folder, Fields(dtype="float32"), context=100, rows=4, part=64)

    info = model.info
    assert (info.runtime, info.device, info.dtype, info.threads) == ("openvino-genai", "cpu", "f32", 1)
    assert (info.max_tokens, info.batch_rows, info.batch_tokens) == (100, 4, 64)
    assert (info.architecture, info.tasks) == ("LlamaForCausalLM", ("chat", "complete"))
    assert "messages" in info.template


def test_auto_without_the_cpu_takes_the_cpu_of_a_machine_without_gpu_and_says_so(
    opened: Open, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import openvino

    if openvino.Core().available_devices != ["CPU"]:
        pytest.skip("there is more than a CPU")
    with caplog.at_level(logging.WARNING, "textmill"):
        model = opened(folder, device="AUTO:-CPU", context=9999)

    assert model.info.device == "cpu"
    assert "the CPU is taken" in caplog.text
    assert "context_size is 9999" in caplog.text
    with pytest.raises(ConfigInvalid, match="no such device"):
        opened(folder, device="cuda")


def test_folders_that_are_no_such_models_say_why(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="optimum-cli export openvino"):
        opened(tiny_writer(tmp_path / "safetensors"))
    made = as_openvino(tiny_writer(tmp_path / "cut"))
    (made / "openvino_model.bin").write_bytes(b"")
    with pytest.raises(ModelBroken, match="OpenVINO"):
        opened(made)
    made = as_openvino(tiny_writer(tmp_path / "xml"))
    (made / "openvino_model.xml").write_text("<net")
    with pytest.raises(ModelBroken, match="OpenVINO does not read"):
        opened(made)


def test_a_graph_without_a_state_is_no_model_that_writes(opened: Open, tmp_path: Path) -> None:
    import openvino as ov
    from openvino import opset15 as op

    made = as_openvino(tiny_writer(tmp_path / "m"))
    given = op.parameter([-1, 4], ov.Type.f32, name="x")
    ov.save_model(ov.Model([op.relu(given)], [given], "relu"), str(made / "openvino_model.xml"))

    with pytest.raises(ModelBroken, match="text-generation-with-past"):
        opened(made)


@pytest.mark.parametrize(
    ("fields", "device", "properties"),
    [
        ({}, "", {}),
        ({"dtype": "auto"}, "", {}),
        ({"f16": True}, "CPU", {}),
        ({"f16": True}, "GPU.1", {"INFERENCE_PRECISION_HINT": "f16"}),
        ({"dtype": "bfloat16"}, "", {"INFERENCE_PRECISION_HINT": "bf16"}),
        (
            {"dtype": "float", "cache_type_v": "q8_0"},
            "",
            {"INFERENCE_PRECISION_HINT": "f32", "KEY_CACHE_PRECISION": "f32", "VALUE_CACHE_PRECISION": "u8"},
        ),
    ],
)
def test_precisions_are_those_of_the_file(fields: dict[str, object], device: str, properties: dict[str, str]) -> None:
    place = Place(name="m", source="m", folder=Path(), threads=3, device=device)

    made = _properties(Fields(**fields), place)  # type: ignore[arg-type]

    assert made == {"INFERENCE_NUM_THREADS": 3, "sampler_num_threads": 3, **properties}


def test_precisions_that_are_none_are_refused() -> None:
    place = Place(name="m", source="m", folder=Path(), threads=3)
    for fields in (Fields(dtype="int8"), Fields(cache_type_k="iq4_nl")):
        with pytest.raises(ConfigInvalid, match="can have"):
            _properties(fields, place)


def test_caches_of_eight_bits_write_too(opened: Open, folder: Path) -> None:
    model = opened(folder, Fields(dtype="float32", cache_type_k="q8_0", cache_type_v="q8_0"))

    assert model.ready


def test_the_ends_are_those_of_all_files(opened: Open, tmp_path: Path) -> None:
    made = as_openvino(tiny_writer(tmp_path / "m"))
    write_json(made / "generation_config.json", {"eos_token_id": [1, 2], "do_sample": True, "temperature": 0.5})

    model = opened(made)

    assert model._facts.ends > {1, 2}
    assert model._facts.sampling.temperature == 0.5
