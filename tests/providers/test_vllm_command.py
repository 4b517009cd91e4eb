"""What vLLM is started with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from textmill.errors import ConfigInvalid
from textmill.folder.scan import scan
from textmill.providers.vllm_command import serve_arguments
from textmill.providers.vllm_flags import MANY, SINGLE, TABLES


def arguments(folder: Path, text: str, model: str = "owner/name") -> list[str]:
    (folder / "m.yaml").write_text(f"name: m\nbackend: vllm\nparameters: {{model: {model}}}\n{text}")
    file = scan(folder).find("m")
    assert file is not None
    assert (file.engine, file.refusal) == ("vllm", None)
    return serve_arguments(file, folder)


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
options: ['tool_parser:hermes', 'reasoning_parser:qwen3', '--max-num-seqs:8', '--enable-prefix-caching']
engine_args: {max_num_batched_tokens: 512, enable_chunked_prefill: false, speculative_config: {method: ngram}, seed: null,
  distributed_executor_backend: mp}
"""
    assert arguments(tmp_path, text)[3:] == [
        "--enable-auto-tool-choice",
        "--tool-call-parser=hermes",
        "--reasoning-parser=qwen3",
        "--max-num-seqs=8",
        "--enable-prefix-caching",
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
        "engine_args: {structured_outputs_config: {reasoning_parser_plugin: /p.py}}",
        'options: [\'--structured-outputs-config:{"reasoning_parser_plugin": "/p.py"}\']',
        "options: ['--structured-outputs-config.reasoning_parser_plugin:/p.py']",
        "options: ['--structured_outputs_config.reasoning_parser_plugin:/p.py']",
        "options: ['--structured-outputs-config.reasoning_parser:/p.py']",
        "options: ['--tool-server:demo']",
        "engine_args: {kv_events_config: {publisher: zmq, endpoint: 'tcp://x:1'}}",
        "engine_args: {compilation_config: {backend: os.system}}",
        "engine_args: {compilation_config: {inductor_passes: {a: os.system}}}",
        "engine_args: {compilation_config: {cache_dir: /x}}",
        "options: ['--compilation-config.backend:os.system']",
        'options: [\'--compilation-config:{"pass_config": {"a": "os.system"}}\']',
        "engine_args: {model_loader_extra_config: {a: b}}",
        "engine_args: {chat_template: /etc/passwd}",
        "engine_args: {chat_template: '../up'}",
        "engine_args: {chat_template: owner/name}",
        "engine_args: {chat_template: '{{ messages }}'}",
        "engine_args: {tokenizer: /etc}",
        "engine_args: {tokenizer: way-out}",
        "engine_args: {tokenizer: true}",
        "engine_args: {hf_config_path: /etc}",
        "engine_args: {generation_config: /etc}",
        "engine_args: {speculative_config: {model: /etc}}",
        "engine_args: {speculative_config: {model: os.system, method: custom_class}}",
        "options: ['--speculative-config.model:/etc']",
        "options: ['--lora-modules:a=/etc']",
        "engine_args: {lora_modules: [{name: a, path: /etc}]}",
        "engine_args: {lora_modules: {name: a, path: /etc}}",
        "engine_args: {hf_overrides: {auto_map: {AutoConfig: a.B}}}",
        "engine_args: {quantization: ../x}",
        "engine_args: {seed: {a: b}}",
        "engine_args: {seed.x: 1}",
        "options: ['--seed:--port']",
        "options: ['--no-seed:1']",
        "quantization: /etc/x",
        "options: ['tool_parser:/p.py']",
    ],
)
def test_flags_that_could_do_more_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "way-out").symlink_to("/etc")
    with pytest.raises(ConfigInvalid):
        arguments(tmp_path, text)


def test_paths_are_those_of_the_models_folder(tmp_path: Path) -> None:
    for name in ("chat.jinja", "small", "words"):
        (tmp_path / name).touch()
    text = """
options: ['--chat-template:chat.jinja', '--generation-config:vllm', '--speculative-config.model:small', '--tokenizer-revision:v1/x']
engine_args:
  tokenizer: owner/words
  hf_config_path: words
  lora_modules: [{name: a, path: small}, {name: b, path: owner/b}]
  cuda_graph_sizes: [1, 2]
"""
    assert arguments(tmp_path, text)[3:] == [
        f"--chat-template={tmp_path}/chat.jinja",
        "--generation-config=vllm",
        f'--speculative-config.model="{tmp_path}/small"',
        "--tokenizer-revision=v1/x",
        "--tokenizer=owner/words",
        f"--hf-config-path={tmp_path}/words",
        "--lora-modules",
        f'{{"name":"a","path":"{tmp_path}/small"}}',
        '{"name":"b","path":"owner/b"}',
        *("--cuda-graph-sizes", "1", "2"),
    ]


def test_a_repository_is_none_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere, models = tmp_path / "elsewhere", tmp_path / "models"
    (elsewhere / "owner" / "words").mkdir(parents=True)
    models.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ConfigInvalid, match="the folder in which textmill was started"):
        arguments(models, "engine_args: {tokenizer: owner/words}")


def test_tables_are_written_as_they_were_understood(tmp_path: Path) -> None:
    """And not as they stood there, where another reader could find something else in them."""
    text = """
options: ['--speculative-config:{"method": "x", "method":  "ngram"}', '--compilation-config.pass_config:{"enable_noop": true}']
engine_args: {hf_overrides: {rope_scaling: {rope_type: yarn, factor: 4.0}}, compilation_config: {custom_ops: [+rms_norm]}}
"""
    assert arguments(tmp_path, text)[3:] == [
        '--speculative-config={"method":"ngram"}',
        '--compilation-config.pass_config={"enable_noop":true}',
        '--hf-overrides={"rope_scaling":{"rope_type":"yarn","factor":4.0}}',
        '--compilation-config={"custom_ops":["+rms_norm"]}',
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("engine_args: {tool_server: demo}", "may not give vLLM --tool_server.*take backend: remote"),
        ("engine_args: {max_num_seq: 1}", "did you mean --max-num-seqs?"),
        ("engine_args: {port: 1}", "textmill's to say"),
        ("engine_args: {tokenizer: /etc}", "--tokenizer as the model file has it: it is an absolute path outside"),
        ("engine_args: {speculative_config: {model: gone}}", "model: there is no gone in the models folder"),
        ("engine_args: {compilation_config: {backend: x}}", "may give compile_sizes, .* and not backend"),
    ],
)
def test_refusals_say_what_may_stand_there(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        arguments(tmp_path, text)


def test_the_documentation_names_each_flag() -> None:
    named = set(re.findall(r"`([a-z-]+)`", (Path(__file__).parents[2] / "docs/vllm.md").read_text("utf-8")))
    assert {*SINGLE, *MANY, *TABLES} <= named
