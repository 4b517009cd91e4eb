"""Model files as LocalAI's pages of then and now show them, each with what it must come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.store.load import load
from textmill.testing.checkpoints import tiny_bert, write_json
from textmill.testing.gguf import write_gguf

One = Callable[[str], ModelFile]

EMBEDS = ("embeddings", "tokenize")
WRITES = ("chat", "completion", "edit", "tokenize")


@pytest.mark.parametrize(
    "text",
    [
        "name: m\nbackend: sentencetransformers\nembeddings: true\nmodel: all-MiniLM-L6-v2\n",
        "name: m\nbackend: sentencetransformers\nembeddings: true\nparameters:\n  model: all-MiniLM-L6-v2\n",
        "name: m\nbackend: huggingface-embeddings\nembeddings: true\nparameters: {model: all-MiniLM-L6-v2}\n",
        "- {name: m, backend: sentencetransformers, embeddings: true, parameters: {model: all-MiniLM-L6-v2}}\n",
        "name: m\nembeddings: true\nparameters: {model: sentence-transformers/all-MiniLM-L6-v2}\n",
    ],
)
def test_sentence_transformers_by_either_spelling(text: str, one: One) -> None:
    model = one(text)

    assert model.model == "sentence-transformers/all-MiniLM-L6-v2"
    assert (model.engine, model.capabilities, model.refusal) == ("ours", EMBEDS, None)
    assert model.options == {"task": "embed"}


@pytest.mark.parametrize("backend", ["bert-embeddings", "bert"])
@pytest.mark.parametrize("where", ["model: bert", "parameters: {model: bert}"])
def test_the_file_of_ggml_that_bert_cpp_had_says_what_to_take_instead(
    backend: str, where: str, models: Path, one: One
) -> None:
    (models / "bert").write_bytes(b"lmgg" + bytes(64))

    model = one(f"name: text-embedding-ada-002\n{where}\nbackend: {backend}\nembeddings: true\n# .. other parameters\n")

    assert model.capabilities == EMBEDS
    assert "ggml" in str(model.refusal)
    assert "`backend: sentencetransformers`" in str(model.refusal)


def test_bert_embeddings_runs_a_folder_of_that_name(models: Path, one: One) -> None:
    tiny_bert(models / "bert")

    model = one("{name: bert, backend: bert-embeddings, embeddings: true, parameters: {model: bert}}")

    assert (model.engine, model.refusal, model.options) == ("ours", None, {"task": "embed"})
    with load(model.model, **model.options) as loaded:
        assert loaded.embed(["sun", "cat"]).shape == (2, 32)


def test_bert_embeddings_of_a_gguf_file_go_to_the_engine_for_it(models: Path, one: One) -> None:
    write_gguf(models / "bert", {"general.architecture": "bert", "bert.pooling_type": 1})

    model = one("{name: m, backend: bert-embeddings, embeddings: true, parameters: {model: bert}}")

    assert (model.engine, model.capabilities) == ("gguf", EMBEDS)
    assert model.refusal is None


@pytest.mark.parametrize("backend", ["llama", "llama-cpp", "go-llama", "llama-ggml"])
def test_llama_by_all_of_its_names(backend: str, models: Path, one: One) -> None:
    write_gguf(models / "file.gguf.bin", {"general.architecture": "llama", "tokenizer.chat_template": "x"})

    embeds = one(f"name: m\nbackend: {backend}\nembeddings: true\nmodel: file.gguf.bin\n# ...\n")
    writes = one(f"name: m\nbackend: {backend}\nparameters:\n  # Relative to the models path\n  model: file.gguf.bin\n")

    assert (embeds.backend, embeds.engine, embeds.capabilities) == ("llama-cpp", "gguf", EMBEDS)
    assert (writes.engine, writes.capabilities) == ("gguf", WRITES)
    assert (embeds.refusal, writes.refusal) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        'name: orca\nbackend: autogptq\nmodel_base_name: "orca-4bit"\nparameters:\n  model: "TheBloke/orca_mini_v2_13b-GPTQ"\n# ...\n',
        "name: orca\nbackend: autogptq\nautogptq: {model_base_name: x, device: 'cuda:0', triton: true}\nmodel: TheBloke/orca-GPTQ\n",
        "name: orca\nbackend: autogptq\nparameters: {model: TheBloke/orca-GPTQ, model_base_name: x}\n",
    ],
)
def test_autogptq_says_that_it_is_for_gptq(text: str, one: One) -> None:
    model = one(text)

    assert model.location.repo.startswith("TheBloke/orca")
    assert (model.engine, model.capabilities) == ("elsewhere", WRITES)
    assert "GPTQ" in str(model.refusal)


@pytest.mark.parametrize("backend", ["exllama", "exllama2"])
def test_exllama_takes_a_folder_in_the_models_folder(backend: str, models: Path, one: One) -> None:
    folder = models / "WizardLM-7B-uncensored-GPTQ"
    folder.mkdir()
    for name in ("model.safetensors", "tokenizer.model"):
        (folder / name).touch()
    write_json(folder / "config.json", {"architectures": ["LlamaForCausalLM"], "model_type": "llama"})
    write_json(folder / "quantize_config.json", {"bits": 4})
    text = f"name: m\nparameters:\n  model: WizardLM-7B-uncensored-GPTQ\nbackend: {backend}\n# ...\n"

    model = one(text)
    loose = scan(models).find("WizardLM-7B-uncensored-GPTQ")

    assert (model.location.path, model.capabilities, model.engine) == (folder, WRITES, "elsewhere")
    assert "GPTQ" in str(model.refusal)
    assert loose is not None
    assert not loose.listed


def test_vllm_runs_what_writes(one: One) -> None:
    text = 'name: vllm\nbackend: vllm\nparameters:\n    model: "facebook/opt-125m"\n# quantization: "awq"\n'

    for each in (text, text.replace("# quant", "quant")):
        model = one(each)
        assert (model.location.repo, model.engine, model.capabilities) == ("facebook/opt-125m", "vllm", WRITES)
        assert model.refusal is None


def test_an_embedding_model_for_vllm_runs_here(one: One) -> None:
    model = one(
        "{name: m, backend: vllm, embeddings: true, parameters: {model: BAAI/bge-small-en-v1.5}, max_model_len: 256}"
    )

    assert (model.engine, model.refusal) == ("ours", None)
    assert model.options == {"task": "embed", "max_input_length": 256}


OPENVINO = """
name: ov
backend: transformers
type: {type}
main_gpu: "AUTO:-CPU"
context_size: 8192
threads: 2
trust_remote_code: true
stopwords: ["<|end_of_turn|>", "<|endoftext|>"]
template:
  use_tokenizer_template: true
parameters:
  model: owner/openvino-model
"""


@pytest.mark.parametrize("kind", ["OVModelForCausalLM", "AutoModelForCausalLM", "Mamba"])
def test_types_of_transformers_that_write(kind: str, one: One) -> None:
    model = one(OPENVINO.format(type=kind))

    engine = "openvino-genai" if kind.startswith("OV") else "transformers"
    assert (model.engine, model.capabilities, model.refusal) == (engine, WRITES, None)
    assert model.options["max_input_length"] == 8192
    assert model.fields.stopwords == ("<|end_of_turn|>", "<|endoftext|>")
    assert model.fields.template is not None
    assert model.fields.template.use_tokenizer_template is True


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("OVModelForFeatureExtraction", {"backend": "openvino", "task": "embed"}),
        ("SentenceTransformer", {"task": "embed"}),
        ("", {}),
    ],
)
def test_types_of_transformers_that_embed(kind: str, options: dict[str, object], one: One) -> None:
    model = one(OPENVINO.format(type=kind))

    assert (model.engine, model.capabilities, model.refusal) == ("ours", EMBEDS, None)
    assert model.options == {**options, "max_input_length": 8192, "threads": 2}


def test_rerankers(one: One) -> None:
    model = one("{name: m, backend: rerankers, type: cross-encoder, parameters: {model: cross-encoder/x}}")

    assert (model.engine, model.capabilities, model.refusal) == ("ours", ("rerank", "tokenize"), None)
    assert model.options == {"task": "rerank"}


def test_rwkv_with_its_tokenizer(models: Path, one: One) -> None:
    (models / "rwkv_small").write_bytes(b"fmgg" + bytes(64))
    (models / "rwkv_small.tokenizer.json").write_text("{}")

    model = one("name: m\nbackend: rwkv\nparameters:\n  model: rwkv_small\n  tokenizer: rwkv_small.tokenizer.json\n")

    assert "GGUF" in str(model.refusal)
    assert model.fields.parameters is not None
    assert model.fields.parameters.tokenizer == "rwkv_small.tokenizer.json"


def test_options_of_llama_cpp_as_the_page_lists_them(models: Path, one: One) -> None:
    write_gguf(models / "file.gguf", {"general.architecture": "llama"})

    model = one(
        "name: m\nbackend: llama-cpp\nparameters: {model: file.gguf}\noptions:\n- use_jinja:true\n- context_shift:true\n"
        "- cache_ram:-1\n- parallel:4\n- grpc_servers:localhost:50051,localhost:50052\n"
    )

    assert model.backend_options == {
        "use_jinja": "true",
        "context_shift": "true",
        "cache_ram": "-1",
        "parallel": "4",
        "grpc_servers": "localhost:50051,localhost:50052",
    }


def test_the_section_that_a_copied_page_lost_is_asked_for(
    told: Callable[[str], list[tuple[str, int, str, str]]],
) -> None:
    text = "name: text-embedding-ada-002 # The model name used in the API\n  model: bert\nbackend: bert-embeddings\n"

    [(level, line, _, sentence)] = told(text)

    assert (level, line) == ("error", 2)
    assert "parameters:" in sentence


def test_loose_files_that_the_pages_name(models: Path) -> None:
    (models / "ggml-koala-7b-model-q4_0-r2.bin").write_bytes(b"tjgg" + bytes(64))
    write_gguf(models / "luna-ai-llama2.gguf", {"general.architecture": "llama"})

    folder = scan(models)
    old, new = folder.find("ggml-koala-7b-model-q4_0-r2.bin"), folder.find("luna-ai-llama2.gguf")

    assert old is not None
    assert new is not None
    assert "format before GGUF" in str(old.refusal)
    assert (old.listed, new.listed, new.capabilities) == (False, True, WRITES)
    assert folder.problems == ()
