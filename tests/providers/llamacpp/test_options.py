from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.providers.llamacpp.conftest import Entry

from textmill.errors import ConfigInvalid
from textmill.providers.llamacpp.options import Given, Wanted, wanted
from textmill.testing.gguf import write_gguf

GIVEN = Given(threads=3)


@pytest.fixture
def weights(models: Path) -> Path:
    head: dict[str, str | int] = {
        "general.architecture": "llama",
        "llama.context_length": 32768,
        "tokenizer.chat_template": "x",
    }
    return write_gguf(models / "w.gguf", head)


@pytest.fixture
def told(models: Path, entry: Entry, weights: Path) -> Any:
    """What llama.cpp is told of a model of these weights, with these lines in its file."""
    assert weights.exists()

    def tell(lines: str = "", given: Given = GIVEN, model: str = "w.gguf") -> Wanted:
        return wanted(entry(f"name: m\nmodel: {model}\n{lines}"), models, given)

    return tell


def test_what_nobody_says_has_defaults(told: Any, weights: Path) -> None:
    settings = told().launch.settings

    assert settings.model == str(weights)
    assert (settings.context, settings.parallel, settings.threads, settings.threads_batch) == (4 * 8192, 4, 3, 3)
    assert (settings.kv_unified, settings.ui, settings.embedding, settings.batch) == (False, False, False, 2048)
    assert told().notes == ()
    assert (told().launch.lora, told().launch.rpc) == ((), "")


@pytest.mark.parametrize(
    ("lines", "context"),
    [
        ("context_size: 512", 512),
        ("context_size: -1", 32768),
        ("context_size: 0", 32768),
        ("max_model_len: 1024", 1024),
        ("{context_size: 99, max_model_len: 1024}", 99),
        ("context_size: 100000", 100000),
        ("options: ['--ctx-size:77']", 77),
        ("options: ['-c 78']", 78),
    ],
)
def test_the_context(told: Any, lines: str, context: int) -> None:
    given = Given(threads=1, parallel=1)

    assert told(lines.strip("{}").replace(", ", "\n"), given).launch.settings.context == context


def test_weights_that_do_not_tell_their_context_get_4096(told: Any, models: Path) -> None:
    write_gguf(models / "old.gguf", {"general.architecture": "llama"})

    assert told(model="old.gguf").launch.settings.context == 4 * 4096
    assert told("context_size: -1", model="old.gguf").launch.settings.context == 0


@pytest.mark.parametrize(
    ("lines", "parallel", "context", "shared"),
    [
        ("", 4, 4 * 8192, False),
        ("context_size: 32768", 1, 32768, False),
        ("context_size: 16384", 2, 2 * 16384, False),
        ("context_size: 16384\ncache_type_k: q8_0\ncache_type_v: q8_0", 3, 3 * 16384, False),
        ("options: [parallel:8]", 8, 8 * 8192, False),
        ("options: [parallel:8, kv_unified:true]", 8, 8192, True),
        ("options: [kv_unified:true]", 4, 8192, True),
    ],
)
def test_each_request_has_a_whole_context_unless_they_share_one(
    told: Any,
    models: Path,
    lines: str,
    parallel: int,
    context: int,
    shared: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    head: dict[str, str | int] = {"general.architecture": "llama", "llama.context_length": 131072}
    head |= {"llama.block_count": 16, "llama.embedding_length": 2048, "llama.attention.head_count": 32}
    write_gguf(models / "small.gguf", {**head, "llama.attention.head_count_kv": 8})  # 32 KiB for a token

    settings = told(lines, model="small.gguf").launch.settings

    assert (settings.parallel, settings.context, settings.kv_unified) == (parallel, context, shared)


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        ("threads: 2", "threads", 2),
        ("gpu_layers: 7", "gpu_layers", 7),
        ("main_gpu: cuda:1", "main_gpu", 1),
        ("main_gpu: '2'", "main_gpu", 2),
        ("tensor_split: 0.6,0.4", "tensor_split", (0.6, 0.4)),
        ("mmap: true", "load_mode", "LLAMA_LOAD_MODE_MMAP"),
        ("mmap: false", "load_mode", "LLAMA_LOAD_MODE_NONE"),
        ("mmlock: true", "load_mode", "LLAMA_LOAD_MODE_MMAP_MLOCK"),
        ("mmap: false\nmmlock: true", "load_mode", "LLAMA_LOAD_MODE_MLOCK"),
        ("options: [direct_io:on]", "load_mode", "LLAMA_LOAD_MODE_DIRECT_IO"),
        ("no_kv_offloading: true", "no_kv_offload", True),
        ("flash_attention: 'on'", "flash_attention", "LLAMA_FLASH_ATTN_TYPE_ENABLED"),
        ("flash_attention: 'off'", "flash_attention", "LLAMA_FLASH_ATTN_TYPE_DISABLED"),
        ("cache_type_k: q8_0", "cache_type_k", "GGML_TYPE_Q8_0"),
        ("cache_type_v: bf16", "cache_type_v", "GGML_TYPE_BF16"),
        ("rope_scaling: yarn", "rope_scaling", "LLAMA_ROPE_SCALING_TYPE_YARN"),
        ("yarn_ext_factor: 0.5", "yarn_ext_factor", 0.5),
        ("parameters: {rope_freq_base: 10000}", "rope_freq_base", 10000.0),
        ("parameters: {keep: 4}", "keep", 4),
        ("parameters: {keep: 4, n_keep: 5}", "keep", 5),
        ("parameters: {batch: 256}", "batch", 256),
        ("parameters: {batch: 256}", "ubatch", 256),
        ("prompt_cache_all: false", "cache_prompt", False),
        ("n_draft: 8", "draft_max", 8),
        ("options: [use_jinja:off]", "jinja", False),
        ("options: [jinja]", "jinja", True),
        ("options: [context_shift:true]", "context_shift", True),
        ("options: [cache_ram:-1]", "cache_ram", -1),
        ("options: [n_parallel:8]", "parallel", 8),
        ("options: [cont_batching:0]", "cont_batching", False),
        ("options: [ubatch:64]", "ubatch", 64),
        ("options: [cache_reuse:256]", "cache_reuse", 256),
        ("options: [slot_prompt_similarity:0.5]", "slot_prompt_similarity", 0.5),
        ("options: [kv_unified:yes]", "kv_unified", True),
        ("options: [fit_target:512]", "fit_target", (512 << 20,)),
        ("options: [split_mode:row]", "split_mode", "LLAMA_SPLIT_MODE_ROW"),
        ("options: ['override_tensor:blk.1=CPU']", "override_tensor", "blk.1=CPU"),
        ("options: [threads_batch:9]", "threads_batch", 9),
        ("options: [reasoning_format:deepseek-legacy]", "reasoning_format", "COMMON_REASONING_FORMAT_DEEPSEEK_LEGACY"),
        ("options: [enable_reasoning:false]", "reasoning", 0),
        ("options: [reasoning_budget:0]", "reasoning_budget", 0),
        ("options: [prefill_assistant:false]", "prefill_assistant", False),
        ("options: [spec_n_max:6]", "draft_max", 6),
        ("options: [draft_p_min:0.75]", "draft_p_min", 0.75),
        (
            "options: ['spec_type:ngram-mod,draft-mtp']",
            "guesses",
            ("COMMON_SPECULATIVE_TYPE_NGRAM_MOD", "COMMON_SPECULATIVE_TYPE_DRAFT_MTP"),
        ),
        ("options: ['-ngl:3']", "gpu_layers", 3),
        ("options: ['--no-warmup']", "warmup", False),
        ("options: ['--flash-attn=on']", "flash_attention", "LLAMA_FLASH_ATTN_TYPE_ENABLED"),
        ("options: [parallel:2, '-np:3']", "parallel", 3),
    ],
)
def test_what_a_file_says_is_told(told: Any, lines: str, field: str, value: object) -> None:
    made = told(lines)

    assert getattr(made.launch.settings, field) == value
    assert made.notes == ()


def test_options_come_before_the_environment(told: Any) -> None:
    given = Given(threads=1, parallel=6, workers="env:1")

    assert told("", given).launch.settings.parallel == 6
    assert told("options: [parallel:2]", given).launch.settings.parallel == 2
    assert told("", given).launch.rpc == "env:1"
    assert told("options: ['grpc_servers:a:50052,b:50053']", given).launch.rpc == "a:50052,b:50053"


def test_experts_are_kept_off_the_gpu_by_rules(told: Any) -> None:
    of_all = told("options: [cpu_moe]").launch.settings.override_tensor
    of_two = told("options: [n_cpu_moe:2, 'override_tensor:x=CPU']").launch.settings.override_tensor

    assert of_all == r"\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"
    assert of_two.split(",") == [
        "x=CPU",
        r"blk\.0\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU",
        r"blk\.1\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU",
    ]


def test_adapters_need_no_base_and_have_scales(told: Any, models: Path) -> None:
    for name in ("a", "b", "c"):
        (models / name).touch()

    assert told("lora_adapter: a").launch.lora == ((str(models / "a"), 1.0),)
    assert told("lora_adapter: a\nlora_scale: 0.5").launch.lora == ((str(models / "a"), 0.5),)
    several = told("lora_adapters: [b, c]\nlora_scales: [0.25]").launch.lora
    assert several == ((str(models / "b"), 0.25), (str(models / "c"), 1.0))


def test_a_draft_model_guesses_unless_another_way_is_named(told: Any, models: Path) -> None:
    plain = told("draft_model: d.gguf").launch.settings
    other = told("draft_model: d.gguf\noptions: [spec_type:draft-eagle3]").launch.settings

    assert (plain.draft_model, plain.guesses) == (str(models / "d.gguf"), ("COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE",))
    assert other.guesses == ("COMMON_SPECULATIVE_TYPE_DRAFT_EAGLE3",)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("gpu_layers: -5", "gpu_layers is '-5'"),
        ("main_gpu: 'a b'", "main_gpu is 'a b'"),
        ("tensor_split: a", "tensor_split is 'a'"),
        ("tensor_split: 0,0", "tensor_split is '0,0'"),
        ("flash_attention: maybe", "flash_attention is 'maybe'; it has to be one of auto, on"),
        ("cache_type_k: q9", "cache_type_k is 'q9'; it has to be one of f32, f16"),
        ("rope_scaling: round", "rope_scaling is 'round'"),
        ("options: [parallel:0]", "parallel is '0'; it has to be a whole number from 1 to 256"),
        ("options: [parallel:many]", "parallel is 'many'"),
        ("options: [use_jinja:maybe]", "use_jinja is 'maybe'; it has to be true or false"),
        ("options: [slot_prompt_similarity:2]", "slot_prompt_similarity is '2'; it has to be a number from 0 to 1"),
        ("options: [draft_p_min:nan]", "draft_p_min is 'nan'"),
        ("options: ['rpc_servers:host']", "grpc_servers is 'host'"),
        ("options: ['rpc_servers:host:99999']", "grpc_servers is 'host:99999'"),
        ("options: ['--ctx-size']", "--ctx-size is ''"),
        ("lora_adapters: [a]\nlora_scales: [1, 2]", "lora_scales has 2 values"),
        ("options: [spec_type:oracle]", "spec_type is 'oracle'"),
    ],
)
def test_a_wrong_value_is_named(told: Any, lines: str, words: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        told(lines)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("options: [device:CUDA0]", "the option device changes nothing"),
        ("options: [n_rs_seq:1]", "n_rs_seq"),
        ("options: ['--mystery:1']", "--mystery changes nothing"),
        ("options: [spec_mystery:1]", "spec_mystery changes nothing"),
        ("overrides: [a=int:1]", "overrides change nothing"),
        ("lora_base: b", "lora_base changes nothing"),
    ],
)
def test_what_changes_nothing_is_said(told: Any, lines: str, words: str) -> None:
    [note] = told(lines).notes

    assert words in note


@pytest.mark.parametrize(
    ("architecture", "pooling", "lines", "wanted_pooling"),
    [
        ("bert", 1, "", "UNSPECIFIED"),
        ("bert", None, "", "MEAN"),
        ("llama", None, "embeddings: true", "MEAN"),
        ("llama", None, "embeddings: true\noptions: [pooling:last]", "LAST"),
        ("llama", None, "embeddings: true\nparameters: {pooling: decayed_mean}", "NONE"),
        ("qwen3", 3, "", "UNSPECIFIED"),
        ("qwen3", 4, "", "RANK"),
        ("llama", None, "reranking: true", "RANK"),
    ],
)
def test_models_of_vectors_and_scores_pool_and_read_an_input_at_once(
    told: Any, models: Path, architecture: str, pooling: int | None, lines: str, wanted_pooling: str
) -> None:
    head: dict[str, Any] = {"general.architecture": architecture, f"{architecture}.context_length": 512}
    head |= {} if pooling is None else {f"{architecture}.pooling_type": pooling}
    write_gguf(models / "e.gguf", head)

    settings = told(lines, model="e.gguf").launch.settings

    assert settings.pooling == f"LLAMA_POOLING_TYPE_{wanted_pooling}"
    assert (settings.embedding, settings.context, settings.batch, settings.ubatch) == (True, 4 * 512, 512, 512)
    assert told(f"{lines}\ncontext_size: 9999", model="e.gguf").launch.settings.context == 4 * 512
