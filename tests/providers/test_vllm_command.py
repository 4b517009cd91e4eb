"""What vLLM is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from textmill.errors import ConfigInvalid
from textmill.folder.scan import scan
from textmill.providers.vllm_command import serve_arguments


def arguments(folder: Path, text: str, model: str = "owner/name") -> list[str]:
    (folder / "m.yaml").write_text(f"name: m\nbackend: vllm\nparameters: {{model: {model}}}\n{text}")
    file = scan(folder).find("m")
    assert file is not None
    assert (file.engine, file.refusal) == ("vllm", None)
    return serve_arguments(file)


def test_a_model_of_the_hub_is_named(tmp_path: Path) -> None:
    assert arguments(tmp_path, "") == ["serve", "owner/name", "--served-model-name=m"]
    assert arguments(tmp_path, "", "owner/name@v1")[1:] == ["owner/name", "--served-model-name=m", "--revision=v1"]


def test_a_folder_of_the_models_folder_is_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    (folder / "model.safetensors").touch()
    assert arguments(tmp_path, "", "weights")[1] == str(folder)


def test_fields_have_flags(tmp_path: Path) -> None:
    text = """
quantization: awq
load_format: safetensors
dtype: half
gpu_memory_utilization: 0.5
enforce_eager: true
swap_space: 4
max_model_len: 2048
tensor_parallel_size: 2
disable_log_stats: true
trust_remote_code: true
"""
    assert set(arguments(tmp_path, text)[3:]) == {
        *("--quantization=awq", "--load-format=safetensors", "--dtype=half", "--gpu-memory-utilization=0.5"),
        *(
            "--enforce-eager",
            "--swap-space=4",
            "--max-model-len=2048",
            "--tensor-parallel-size=2",
            "--disable-log-stats",
        ),
    }
    assert arguments(tmp_path, "enforce_eager: false\ncontext_size: -1\nmax_model_len: 5\n")[3:] == []
    assert arguments(tmp_path, "context_size: 64\nmax_model_len: 5\n")[3:] == ["--max-model-len=64"]


def test_options_and_engine_args_are_flags(tmp_path: Path) -> None:
    text = """
options: ['tool_parser:hermes', 'reasoning_parser:qwen3', '--max-num-seqs:8', '--enable-prefix-caching', '--seed:--port']
engine_args: {max_num_batched_tokens: 512, enable_chunked_prefill: false, speculative_config: {method: ngram}, seed: null,
  distributed_executor_backend: mp}
"""
    assert arguments(tmp_path, text)[3:] == [
        "--enable-auto-tool-choice",
        "--tool-call-parser=hermes",
        "--reasoning-parser=qwen3",
        "--max-num-seqs=8",
        "--enable-prefix-caching",
        "--seed=--port",
        "--max-num-batched-tokens=512",
        "--no-enable-chunked-prefill",
        '--speculative-config={"method":"ngram"}',
        "--distributed-executor-backend=mp",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "options: ['--host:0.0.0.0']",
        "options: ['--api-key:x']",
        "options: ['--api_key:x']",
        "options: ['--trust-remote-code']",
        "options: ['--trust-rem']",
        "options: ['--Trust-Remote-Code']",
        "options: ['--middleware:os.system']",
        "options: ['--config.x:/etc/passwd']",
        "options: ['--seed=1 --port:2']",
        "options: ['-tp:2']",
        "options: ['--load-format:tensorizer']",
        "load_format: tensorizer",
        "dtype: int8",
        "engine_args: {port: 1}",
        "engine_args: {trust_remote_code: true}",
        "engine_args: {no_trust_remote_code: true}",
        "engine_args: {'x y': 1}",
        "engine_args: {worker_cls: os.system}",
        "engine_args: {distributed_executor_backend: os.system}",
        "engine_args: {kv_transfer_config: {kv_connector_module_path: x}}",
    ],
)
def test_flags_that_could_do_more_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid):
        arguments(tmp_path, text)
