from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: TID253
import transformers  # noqa: TID253
from tests.providers.writing import GREEDY, choices, complete, opened

from textmill.contract import CompleteOptions, Sampling
from textmill.errors import ConfigInvalid, ExtraMissing, ModelBroken
from textmill.folder.fields import Fields
from textmill.folder.parameters import Parameters
from textmill.providers.causal_opening import Place, dtype_of, open_causal, sampling_of
from textmill.testing.causal import STOP, saying_writer, tiny_writer, write_tokenizer


def edited(folder: Path, file: str, **values: object) -> Path:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


def test_a_file_says_precision_and_sampling() -> None:
    stated = Parameters(temperature=0.2, top_k=5, logit_bias={"7": 1.5, "x": 2.0})

    assert [dtype_of(Fields(dtype=name)) for name in ("half", "float", "bfloat16", "int8")] == [
        "float16",
        "float32",
        "bfloat16",
        "auto",
    ]
    assert (dtype_of(Fields(f16=True)), dtype_of(Fields())) == ("bfloat16", "auto")
    assert sampling_of(Fields(parameters=stated, mirostat=2)) == Sampling(
        temperature=0.2, top_k=5, mirostat=2, logit_bias={7: 1.5}
    )


def test_what_a_model_is_told_of(tmp_path: Path) -> None:
    folder = tiny_writer(tmp_path / "m", context=200)
    half = opened(folder, Fields(f16=True), context=64)
    whole = opened(folder, context=100_000)
    half.close()
    whole.close()

    assert (half.info.dtype, half.info.max_tokens, half.info.tasks) == ("bfloat16", 64, ("chat", "complete"))
    assert (whole.info.dtype, whole.info.max_tokens, whole.info.runtime) == ("float32", 200, "transformers")
    assert "messages" in whole.info.template
    assert half.info.fingerprint != whole.info.fingerprint


async def test_generation_config_says_what_a_file_does_not(tmp_path: Path) -> None:
    folder = tiny_writer(tmp_path / "m")
    edited(folder, "generation_config.json", do_sample=True, temperature=0.3, top_k=3, repetition_penalty=1.2)
    model = opened(folder)
    stated = model._facts.sampling
    model.close()

    assert (stated.temperature, stated.top_k, stated.repeat_penalty) == (0.3, 3, 1.2)


@pytest.mark.parametrize("kind", ["bnb_8bit", "bnb_4bit"])
def test_a_quantization_whose_package_is_missing_names_it(kind: str, tmp_path: Path) -> None:
    folder = tiny_writer(tmp_path / "m")

    with pytest.raises(ExtraMissing, match="pip install bitsandbytes accelerate"):
        opened(folder, Fields(quantization=kind))


@pytest.mark.parametrize(
    ("method", "more", "packages"),
    [
        ("gptq", {"bits": 4, "group_size": 32}, "gptqmodel optimum accelerate"),
        ("awq", {"bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}, "gptqmodel accelerate"),
    ],
)
def test_a_quantised_checkpoint_whose_package_is_missing_names_it(
    method: str, more: dict[str, object], packages: str, tmp_path: Path
) -> None:
    folder = tiny_writer(tmp_path / "m")
    edited(folder, "config.json", quantization_config={"quant_method": method, **more})

    with pytest.raises(ExtraMissing, match=f"pip install {packages}"):
        opened(folder)


def test_folders_that_are_no_models_are_broken(tmp_path: Path) -> None:
    lacking = tiny_writer(tmp_path / "lacking")
    edited(lacking, "config.json", num_hidden_layers=3)
    torn = tiny_writer(tmp_path / "torn")
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:-100])
    foreign = tiny_writer(tmp_path / "foreign")
    edited(foreign, "config.json", model_type="mine", auto_map={"AutoModelForCausalLM": "mine.Mine"})
    (foreign / "mine.py").write_text("raise SystemExit('never run')")
    pickled = tiny_writer(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")

    for folder, words in ((lacking, "lacks weights"), (torn, "torn"), (foreign, "foreign"), (pickled, "pickled")):
        with pytest.raises(ModelBroken, match=words):
            opened(folder)


def test_options_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = tiny_writer(tmp_path / "m")

    with pytest.raises(ConfigInvalid, match="bnb_8bit, bnb_4bit"):
        opened(folder, Fields(quantization="q9"))
    with pytest.raises(ConfigInvalid, match="cuda:7"):
        open_causal(Place(name="m", source="m", folder=folder, device="cuda:7"), Fields())


CONFIGS: dict[str, Any] = {
    "mamba": {"state_size": 8},
    "qwen3_next": {
        "intermediate_size": 64,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "gpt_oss": {
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 16,
    },
}


@pytest.mark.parametrize("kind", CONFIGS)
async def test_models_with_other_states_write_what_generate_writes(kind: str, tmp_path: Path) -> None:
    """Mamba and the layers of Qwen3-Next have states that are no keys and values; every other layer of GPT-OSS slides."""
    folder = tmp_path / "m"
    tokenizer = write_tokenizer(folder)
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=4,
        initializer_range=0.5,
        eos_token_id=tokenizer.token_to_id(STOP),
        bos_token_id=None,
        pad_token_id=None,
        **CONFIGS[kind],
    )
    torch.manual_seed(0)
    theirs = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    theirs.save_pretrained(folder)
    prompts = ["hello", "x" * 90]
    wanted = []
    for prompt in prompts:
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        made = theirs.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        wanted.append([id_ for id_ in made[0, ids.shape[1] :].tolist() if id_ != config.eos_token_id])

    ours = opened(folder, part=32)
    found = [(await complete(ours, prompt, max_tokens=12, logprobs=0)).ids for prompt in prompts]
    both = await choices(ours.complete(prompts[0], CompleteOptions(n=2, max_tokens=12, sampling=GREEDY, logprobs=0)), 2)
    ours.close()

    assert found == wanted
    assert [each.ids for each in both] == [wanted[0]] * 2


async def test_a_text_is_filled_in_where_the_vocabulary_has_marks_for_it(tmp_path: Path) -> None:
    marks = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    model = opened(saying_writer(tmp_path / "m", "return 1", special=marks))
    wrote = await complete(model, "def f():\n  ", suffix="\nf()")
    ids = model._words.encode("<|fim_prefix|>def f():\n  <|fim_suffix|>\nf()<|fim_middle|>", special_tokens=False)
    model.close()

    assert wrote.text == "return 1"
    assert wrote.spent is not None
    assert wrote.spent.prompt_tokens == len(ids)
