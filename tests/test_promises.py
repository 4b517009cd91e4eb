"""docs/localai-promises.md, line by line: what LocalAI's pages promise, asked of a server with their model files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.http.live import serving

from textmill.testing import backend
from textmill.testing.causal import saying_writer
from textmill.testing.checkpoints import tiny_bert, write_json
from textmill.testing.genai import as_openvino
from textmill.testing.gguf import write_gguf
from textmill.testing.gguf_encoders import bert_gguf
from textmill.testing.gguf_llama import chain_gguf
from textmill.testing.gguf_templates import TOOLS
from textmill.testing.heads import tiny_reranker
from textmill.testing.vllm import install

pytestmark = pytest.mark.timeout(60)  # models load, and the machine may be busy

PAGE = Path(__file__).parents[1] / "docs/localai-promises.md"
WORKS, DIFFERS, NOT = "works", "differs", "not here"

ADA = "name: text-embedding-ada-002\nbackend: sentencetransformers\nembeddings: true\nparameters:\n  model: all-MiniLM-L6-v2\n"
FILES = {
    "ada": ADA,
    "top": ADA.replace("text-embedding-ada-002", "top").replace("parameters:\n  model", "model"),
    "bert": "name: bert\nbackend: bert-embeddings\nembeddings: true\nparameters: {model: bert-folder}\n",
    "ggml": "name: ggml\nbackend: bert-embeddings\nembeddings: true\nparameters: {model: bert-ggml}\n",
    "fetched": "name: fetched\nbackend: sentencetransformers\nembeddings: true\nparameters: {model: paraphrase-MiniLM-L3-v2}\n",
    "my": "name: my-awesome-model\nbackend: llama\nembeddings: true\nparameters: {model: ggml-file.bin}\n",
    "orca": 'name: orca\nbackend: autogptq\nmodel_base_name: "x"\nparameters: {model: TheBloke/orca_mini_v2_13b-GPTQ}\n',
    "exllama": "name: exllama\nbackend: exllama\nparameters: {model: WizardLM-7B-uncensored-GPTQ}\n",
    "exllama2": "name: exllama2\nbackend: exllama2\nparameters: {model: WizardLM-7B-uncensored-GPTQ}\n",
    "rwkv": "name: rwkv\nbackend: rwkv\nparameters: {model: rwkv.gguf, tokenizer: rwkv.tokenizer.json}\n",
    "vllm": "name: vllm\nbackend: vllm\nquantization: awq\nparameters: {model: facebook/opt-125m}\n",
    "vllm-embeds": "name: vllm-embeds\nbackend: vllm\nembeddings: true\nparameters: {model: bert-folder}\n",
    "ov": "name: ov\nbackend: transformers\ntype: OVModelForCausalLM\nmain_gpu: 'AUTO:-CPU'\ncontext_size: 8192\n"
    "stopwords: ['<|end_of_turn|>']\ntemplate: {use_tokenizer_template: true}\nparameters: {model: owner/openvino-model}\n",
    "ov-embeds": "name: ov-embeds\nbackend: transformers\ntype: OVModelForFeatureExtraction\ncontext_size: 9\n"
    "main_gpu: CPU\nf16: true\nquantization: bnb_4bit\ntrust_remote_code: true\nembeddings: true\n"
    "parameters: {model: bert-folder}\n",
    "external": "name: external\nbackend: mine\nembeddings: true\nparameters: {model: any}\n",
    "options": "name: options\nbackend: llama-cpp\nstopwords: [' by']\nparameters: {model: luna.gguf}\n"
    "options: ['use_jinja:true', 'context_shift:true', 'cache_ram:-1', 'parallel:4']\n",
    "rpc": "name: rpc\nbackend: llama-cpp\nparameters: {model: luna.gguf}\noptions: ['grpc_servers:a:1,b:2']\n",
    **{
        name: f"name: {name}\nbackend: {name}\nparameters: {{model: luna.gguf}}\n"
        for name in ("llama", "llama-cpp", "go-llama", "llama-ggml")
    },
}
CALL = '{"name": "turn", "arguments": {"n": 7}}'
LINES: dict[str, tuple[str, Callable[[httpx.Client], None]]] = {}
Check = Callable[[httpx.Client], None]


def line(number: str, state: str) -> Callable[[Check], Check]:
    """The check of a line of the page, and the state that it shows."""

    def enter(check: Check) -> Check:
        LINES[number] = (state, check)
        return check

    return enter


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server without network whose models folder has all model files of the pages."""
    models = tmp_path_factory.mktemp("promised") / "models"
    tiny_bert(models / "bert-folder")
    tiny_reranker(models / "ranker")
    (models / "bert-ggml").write_bytes(b"lmgg" + bytes(64))
    (models / "old.ggml.bin").write_bytes(b"tjgg" + bytes(64))
    bert_gguf(models / "ggml-file.bin", models / "bert-folder", pooling="mean")
    as_openvino(saying_writer(models / "owner/openvino-model", "Good day<|end_of_turn|> to you"))
    chain_gguf(models / "luna.gguf", "The mill turns by the river.")
    chain_gguf(models / "calls.gguf", f"<tool_call>\n{CALL}\n</tool_call>", template=TOOLS)
    write_gguf(models / "rwkv.gguf", {"general.architecture": "rwkv6"})
    gptq = models / "WizardLM-7B-uncensored-GPTQ"
    gptq.mkdir()
    (gptq / "model.safetensors").touch()
    write_json(gptq / "config.json", {"architectures": ["LlamaForCausalLM"], "model_type": "llama"})
    write_json(gptq / "quantize_config.json", {"bits": 4})
    for name, text in FILES.items():
        (models / f"{name}.yaml").write_text(text)
    variables = {"EXTERNAL_GRPC_BACKENDS": f"mine:{backend.__file__}", "PATH": install(models.parent / "bin")}
    with serving("--models-path", str(models), "--offline", **variables) as client:
        yield client


def embed(server: httpx.Client, model: str | None, inputs: Any = "Your text string goes here") -> list[dict[str, Any]]:
    """The items of an answer."""
    named = {} if model is None else {"model": model}
    answer = server.post("/embeddings", json={"input": inputs, **named})
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def say(server: httpx.Client, model: str, **fields: Any) -> dict[str, Any]:
    """The first choice of a chat."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "temperature": 0} | fields
    answer = server.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    choice: dict[str, Any] = answer.json()["choices"][0]
    return choice


def refusal(server: httpx.Client, model: str) -> str:
    """Why a model does not answer, as a request and the list of models say it."""
    answer = server.post("/v1/embeddings", json={"input": "a", "model": model})
    assert answer.status_code == 503, answer.text
    message: str = answer.json()["error"]["message"]
    assert card(server, model)["refusal"] in message
    return message


def card(server: httpx.Client, model: str) -> dict[str, Any]:
    """A model in the list."""
    [found] = [each for each in server.get("/v1/models").json()["data"] if each["id"] == model]
    return dict(found)


@line("E1", WORKS)
def _(server: httpx.Client) -> None:
    mixed = embed(server, "text-embedding-ada-002", ["sun", [101, 4231, 102]])
    assert [len(item["embedding"]) for item in mixed] == [384, 384]
    assert len(embed(server, "text-embedding-ada-002", [101, 4231, 102])) == 1
    assert [item["index"] for item in embed(server, "text-embedding-ada-002", [[101, 102], [101, 4231, 102]])] == [0, 1]


@line("E2", WORKS)
def _(server: httpx.Client) -> None:
    body = {"input": "sun", "model": "text-embedding-ada-002"}
    assert server.post("/embeddings", json=body).json() == server.post("/v1/embeddings", json=body).json()


@line("E3", WORKS)
def _(server: httpx.Client) -> None:
    answer = server.post("/v1/embeddings", json={"input": ["sun", "cat"], "model": "text-embedding-ada-002"}).json()
    assert (answer["object"], answer["model"]) == ("list", "text-embedding-ada-002")
    assert [(item["object"], item["index"]) for item in answer["data"]] == [("embedding", 0), ("embedding", 1)]
    assert answer["usage"] == {"prompt_tokens": 6, "total_tokens": 6}


@line("E4", WORKS)
def _(server: httpx.Client) -> None:
    assert card(server, "text-embedding-ada-002")["source"] == "sentence-transformers/all-MiniLM-L6-v2"


@line("E5", DIFFERS)
def _(server: httpx.Client) -> None:
    assert len(embed(server, "bert")[0]["embedding"]) == 32
    assert "`backend: sentencetransformers`" in refusal(server, "ggml")


@line("E6", WORKS)
def _(server: httpx.Client) -> None:
    assert embed(server, "top", "sun")[0] == embed(server, "text-embedding-ada-002", "sun")[0]


@line("E7", WORKS)
def _(server: httpx.Client) -> None:
    answer = server.post("/v1/embeddings", json={"input": "sun", "model": "fetched"})
    assert answer.status_code == 503
    assert "sentence-transformers/paraphrase-MiniLM-L3-v2" in answer.json()["error"]["message"]
    assert "offline" in answer.json()["error"]["message"]


@line("E8", WORKS)
def _(server: httpx.Client) -> None:
    [text], [tokens] = embed(server, "top", "sun"), embed(server, "top", [101, 3103, 102])
    assert text["embedding"] == pytest.approx(tokens["embedding"], abs=1e-6)


@line("E9", WORKS)
def _(server: httpx.Client) -> None:
    assert embed(server, "external", "sun")[0]["embedding"] == pytest.approx(backend.vector_of(b"sun"), abs=1e-6)


@line("E10", WORKS)
def _(server: httpx.Client) -> None:
    ours, theirs = embed(server, "bert")[0]["embedding"], embed(server, "my-awesome-model")[0]["embedding"]
    assert theirs == pytest.approx(ours, abs=2e-2)  # in half precision


@line("T1", WORKS)
def _(server: httpx.Client) -> None:
    text = "The mill turns by the river."
    assert say(server, "luna.gguf")["message"]["content"] == text
    completed = server.post("/v1/completions", json={"model": "luna.gguf", "prompt": "x"}).json()
    edited = server.post("/v1/edits", json={"model": "luna.gguf", "instruction": "x", "input": "y"}).json()
    assert (completed["choices"][0]["text"], edited["choices"][0]["text"]) == (text, text)


@line("T2", WORKS)
def _(server: httpx.Client) -> None:
    listed = {each["id"] for each in server.get("/v1/models").json()["data"]}
    assert {"calls.gguf", "ranker", "text-embedding-ada-002", "vllm"} <= listed


@line("T3", WORKS)
def _(server: httpx.Client) -> None:
    headers = {"authorization": "Bearer bert"}
    answer = server.post("/v1/embeddings", json={"input": "sun"}, headers=headers)
    assert (answer.status_code, answer.json()["model"]) == (200, "bert")


@line("T4", WORKS)
def _(server: httpx.Client) -> None:
    ranked = server.post("/rerank", json={"query": "sun", "texts": ["moon", "cat"]})
    assert (ranked.status_code, len(ranked.json())) == (200, 2)  # of many models one ranks
    answer = server.post("/v1/embeddings", json={"input": "sun"})
    assert answer.status_code == 400
    assert "text-embedding-ada-002" in answer.json()["error"]["message"]


@line("T5", WORKS)
def _(server: httpx.Client) -> None:
    assert say(server, "luna.gguf")["finish_reason"] == "stop"
    answer = server.post("/v1/embeddings", json={"input": "a", "model": "old.ggml.bin"})
    assert (answer.status_code, "format before GGUF" in answer.text) == (503, True)


@line("T6", DIFFERS)
def _(server: httpx.Client) -> None:
    name = "TheBloke/WizardLM-13B-V1.2-GGML/wizardlm-13b-v1.2.ggmlv3.q2_K.bin"
    answer = server.post("/v1/embeddings", json={"input": "a", "model": name})
    assert (answer.status_code, "--auto-download" in answer.json()["error"]["message"]) == (404, True)


@line("T7", NOT)
def _(server: httpx.Client) -> None:
    assert "GPTQ" in refusal(server, "orca")


@line("T8", DIFFERS)
def _(server: httpx.Client) -> None:
    answer = server.post("/v1/completions", json={"prompt": "a", "model": "rwkv"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "load_failed")  # it is a head without weights


@line("T9", WORKS)
def _(server: httpx.Client) -> None:
    for name in ("llama", "llama-cpp", "go-llama", "llama-ggml"):
        assert say(server, name)["message"]["content"] == "The mill turns by the river."


@line("T10", NOT)
def _(server: httpx.Client) -> None:
    for name in ("exllama", "exllama2"):
        assert "GPTQ" in refusal(server, name)


@line("T11", WORKS)
def _(server: httpx.Client) -> None:
    asked = {"model": "vllm", "messages": [{"role": "user", "content": "!args"}]}
    said = server.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"]
    assert "facebook/opt-125m" in said
    assert "--quantization=awq" in said
    assert len(embed(server, "vllm-embeds")) == 1


@line("T12", WORKS)
def _(server: httpx.Client) -> None:
    assert len(embed(server, "ov-embeds")[0]["embedding"]) == 32
    assert say(server, "ov")["message"]["content"] == "Good day"
    assert card(server, "ov")["device"] == "cpu"


@line("T13", WORKS)
def _(server: httpx.Client) -> None:
    embed(server, "ov-embeds")
    assert card(server, "ov-embeds")["device"] == "cpu"


@line("T14", WORKS)
def _(server: httpx.Client) -> None:
    embed(server, "ov-embeds")
    assert card(server, "ov-embeds")["dtype"] == "float32"  # the server's own option; f16 is for GPUs


@line("T15", DIFFERS)
def _(server: httpx.Client) -> None:
    embed(server, "ov-embeds")
    assert card(server, "ov-embeds")["dtype"] == "float32"  # four bits are not run, and a warning says so


@line("T16", NOT)
def _(server: httpx.Client) -> None:
    assert len(embed(server, "ov-embeds")) == 1  # the key changes nothing


@line("T17", WORKS)
def _(server: httpx.Client) -> None:
    embed(server, "ov-embeds")
    assert card(server, "ov-embeds")["max_tokens"] == 9


@line("T18", WORKS)
def _(server: httpx.Client) -> None:
    asked = {"messages": [{"role": "user", "content": "Hello"}], "model": "luna.gguf"}
    usage = server.post("/v1/chat/completions", json=asked).json()["usage"]
    assert usage["prompt_tokens"] > len("Hello")  # the template's marks stand around it


@line("T19", WORKS)
def _(server: httpx.Client) -> None:
    assert say(server, "options")["message"]["content"] == "The mill turns"


@line("T20", WORKS)
def _(server: httpx.Client) -> None:
    assert say(server, "options")["finish_reason"] == "stop"
    answer = server.post("/v1/completions", json={"prompt": "a", "model": "rpc"})
    assert (answer.status_code, "RPC backend" in answer.text) == (503, True)  # of which PyPI's builds have none


@line("T21", WORKS)
def _(server: httpx.Client) -> None:
    assert [gallery["name"] for gallery in server.get("/models/galleries").json()] == ["localai"]


@line("T22", WORKS)
def _(server: httpx.Client) -> None:
    function = {"name": "turn", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    choice = say(server, "calls.gguf", functions=[function])
    assert (choice["finish_reason"], choice["message"]["function_call"]["name"]) == ("function_call", "turn")
    assert say(server, "luna.gguf", grammar='root ::= "The"')["message"]["content"] == "The"


def test_the_page_says_of_each_promise_what_is_checked_here() -> None:
    rows = re.findall(r"^\| ([ET]\d+) \| .*? \| ([^|]*?) \| ", PAGE.read_text(), re.MULTILINE)
    assert dict(rows) == {number: state for number, (state, _) in LINES.items()}
    assert len(rows) == 32


@pytest.mark.parametrize("number", LINES)
def test_a_promise_is_kept_as_far_as_the_page_says(number: str, server: httpx.Client) -> None:
    LINES[number][1](server)
