"""Models of services of embeddings: what each is sent, in which pieces, and what comes of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from textmill.contract import ChatOptions, EmbedOptions, Kind, Message, Piece, RerankOptions, Scoring
from textmill.errors import ConfigInvalid, InvalidInput, Unavailable
from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.providers.gemini import Gemini
from textmill.providers.remote import open_remote
from textmill.providers.remote_dialect import EmbedPiece
from textmill.providers.remote_model import RemoteModel
from textmill.testing.openai_server import Answer, Asked, OpenAIServer, openai_server, saying
from textmill.testing.providers import SERVICES, WIDTH, score_of, service, vector_of

TEXTS = [f"text number {number} of many" for number in range(70)]
CAPS = {
    "cohere": 96,
    "dashscope": 10,
    "gemini": 100,
    "nomic": 50,
    "tei": 32,
    "upstage": 100,
    "voyage": 128,
    "jina": 128,
}
RANKING = ("cohere", "jina", "voyage", "tei", "together", "fireworks", "remote")
SIDES: dict[str, tuple[str, str]] = {
    "cohere": ("search_query", "search_document"),
    "gemini": ("RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT"),
    "jina": ("retrieval.query", "retrieval.passage"),
    "nomic": ("search_query", "search_document"),
    "upstage": ("m-query", "m-passage"),
    "voyage": ("query", "document"),
}


def file_of(folder: Path, url: str, backend: str, *options: str, uses: str = "[embeddings]") -> ModelFile:
    lines = "".join(f"- '{each}'\n" for each in (f"base_url:{url}", "api_key_env:MILL_API_KEY", *options))
    (folder / "m.yaml").write_text(
        f"name: m\nbackend: {backend}\nknown_usecases: {uses}\nparameters: {{model: m}}\noptions:\n{lines}"
    )
    scanned = scan(folder)
    assert scanned.problems == ()
    return scanned.files[0]


@asynccontextmanager
async def opened(
    folder: Path, backend: str, *options: str, uses: str = "[embeddings]"
) -> AsyncIterator[tuple[RemoteModel, OpenAIServer]]:
    async with openai_server(service(backend, key="k-1")) as server:
        file = file_of(folder, server.base_url, backend, *options, uses=uses)
        model = await asyncio.to_thread(open_remote, file, lambda _: "k-1")
        try:
            yield model, server
        finally:
            model.close(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.mark.parametrize("backend", sorted(SERVICES))
async def test_vectors_come_in_order_and_pieces_fit_the_service(backend: str, tmp_path: Path) -> None:
    async with opened(tmp_path, backend) as (model, server):
        alone = [(await model.embed_inputs([text], EmbedOptions())).vectors[0] for text in TEXTS[:3]]
        began = len(server.asked)
        made = await model.embed_inputs(TEXTS * 4, EmbedOptions())
        assert model.info.dimensions == WIDTH
        assert made.vectors.shape == (len(TEXTS) * 4, WIDTH)
        assert np.array_equal(made.vectors[:3], alone)
        assert np.array_equal(made.vectors[: len(TEXTS)], made.vectors[-len(TEXTS) :])
        assert len(np.unique(made.vectors, axis=0)) == len(TEXTS)
        most = CAPS.get(backend)
        assert most is None or len(server.asked) - began == -(-len(TEXTS) * 4 // most)


@pytest.mark.parametrize("backend", ["cohere", "jina", "nomic", "voyage", "openai", "gemini"])
async def test_tokens_are_those_that_the_service_counted(backend: str, tmp_path: Path) -> None:
    async with opened(tmp_path, backend) as (model, _):
        made = await model.embed_inputs(["a b c"] * 101, EmbedOptions())
        assert sum(made.tokens) == (101 if backend == "gemini" else 303)
        assert len(made.tokens) == 101


@pytest.mark.parametrize("backend", sorted(SIDES))
@pytest.mark.parametrize("kind", ["query", "document"])
async def test_the_side_of_a_search_is_told_in_the_services_words(backend: str, kind: Kind, tmp_path: Path) -> None:
    async with opened(tmp_path, backend) as (model, _):
        word = SIDES[backend][("query", "document").index(kind)]
        assert {"query", "document"} <= set(model.info.prompts)
        for options in (EmbedOptions(kind=kind), EmbedOptions(prompt_name=kind)):
            made = await model.embed_inputs(["a text"], options)
            assert made.vectors[0].tolist() == vector_of("a text", word)


@pytest.mark.parametrize("backend", ["cohere", "gemini", "nomic", "jina"])
async def test_other_roles_go_by_their_names(backend: str, tmp_path: Path) -> None:
    async with opened(tmp_path, backend) as (model, server):
        await model.embed_inputs(["a"], EmbedOptions(prompt_name="clustering"))
        assert any(word in str(server.bodies[-1]) for word in ("clustering", "CLUSTERING", "separation"))
        with pytest.raises(InvalidInput, match="no prompt named 'shopping'; its prompts: classification, clustering"):
            await model.embed_inputs(["a"], EmbedOptions(prompt_name="shopping"))


@pytest.mark.parametrize(
    ("backend", "role"),
    [("cohere", "search_document"), ("upstage", "m-passage"), ("voyage", "m"), ("gemini", ""), ("jina", "m")],
)
async def test_a_call_that_says_no_role_has_the_services_own(backend: str, role: str, tmp_path: Path) -> None:
    async with opened(tmp_path, backend) as (model, _):
        for options in (EmbedOptions(), EmbedOptions(prompt="", kind="query")):
            made = await model.embed_inputs(["a text"], options)
            assert made.vectors[0].tolist() == vector_of("a text", role)


@pytest.mark.parametrize(
    "backend",
    ["azure", "cohere", "dashscope", "fireworks", "gemini", "jina", "mistral", "nomic", "openai", "tei", "voyage"],
)
async def test_dimensions_are_asked_of_a_service_that_has_them(backend: str, tmp_path: Path) -> None:
    options = ["dimensions_field:dimensions"] if backend == "fireworks" else []
    async with opened(tmp_path, backend, *options) as (model, server):
        made = await model.embed_inputs(["a text"], EmbedOptions(dimensions=3))
        assert made.vectors.shape == (1, 3)
        assert np.linalg.norm(made.vectors[0]) == pytest.approx(1)
        assert "3" in str(server.bodies[-1]).replace("text-3", "")


async def test_dimensions_are_cut_here_or_refused_where_a_service_has_none(tmp_path: Path) -> None:
    async with opened(tmp_path, "together") as (model, _):
        made = await model.embed_inputs(["a text"], EmbedOptions(dimensions=3))
        assert made.vectors[0].tolist() == pytest.approx(vector_of("a text", "m", 3), abs=1e-6)
        with pytest.raises(InvalidInput, match="dimensions is 9; this model gives 1 to 8"):
            await model.embed_inputs(["a text"], EmbedOptions(dimensions=9))
    async with opened(tmp_path, "upstage") as (model, _):
        with pytest.raises(InvalidInput, match="one length"):
            await model.embed_inputs(["a text"], EmbedOptions(dimensions=3))


@pytest.mark.parametrize("backend", RANKING)
async def test_texts_are_ranked_in_their_order_and_in_pieces(backend: str, tmp_path: Path) -> None:
    async with opened(tmp_path, backend, "documents_per_request:30", uses="[rerank]") as (model, server):
        made = await model.rerank_inputs("q", TEXTS, RerankOptions())
        assert made.scores.tolist() == pytest.approx([score_of("q", text) for text in TEXTS], abs=1e-6)
        assert len(server.asked) == 3


@pytest.mark.parametrize("backend", ["gemini", "nomic", "elasticsearch", "huggingface-inference"])
def test_a_service_that_ranks_nothing_says_so_in_the_folder(backend: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        f"name: m\nbackend: {backend}\nknown_usecases: [rerank]\nparameters: {{model: m}}\noptions: ['base_url:http://x/v1']\n"
    )
    [problem] = scan(tmp_path).problems
    assert (problem.key, "embeddings" in problem.sentence) == ("known_usecases", True)


@pytest.mark.parametrize("backend", sorted(set(SERVICES) - {"elasticsearch", "huggingface-inference", "gemini"}))
async def test_what_a_service_refuses_is_told_in_its_words(backend: str, tmp_path: Path) -> None:
    async with opened(tmp_path, backend, "inputs_per_request:4000", "bytes_per_request:0") as (model, _):
        with pytest.raises(InvalidInput, match="there must be 1 to"):
            await model.embed_inputs(["a"] * 3000, EmbedOptions())


async def test_token_ids_are_for_servers_of_openais_protocol(tmp_path: Path) -> None:
    async with opened(tmp_path, "cohere") as (model, _):
        with pytest.raises(InvalidInput, match="takes texts only"):
            await model.embed_inputs([[1, 2]], EmbedOptions())


async def test_a_long_text_goes_alone_and_others_up_to_the_bytes(tmp_path: Path) -> None:
    async with opened(tmp_path, "openai", "bytes_per_request:10") as (model, server):
        texts = ["four", "five5", "a text that is longer than that", "é" * 5, "x"]
        made = await model.embed_inputs(texts, EmbedOptions())
        sent = [body["input"] for body in server.bodies[1:]]
        assert sorted(sent, key=lambda each: texts.index(each[0])) == [texts[:2], [texts[2]], [texts[3]], [texts[4]]]
        assert made.vectors[2].tolist() == vector_of(texts[2], "m")


async def test_a_text_that_must_not_be_cut_is_told_to_services_that_can_refuse(tmp_path: Path) -> None:
    for backend, field, values in (
        ("cohere", "truncate", ("END", "NONE")),
        ("voyage", "truncation", (True, False)),
        ("jina", "truncate", (True, False)),
    ):
        async with opened(tmp_path, backend) as (model, server):
            for truncate, value in zip((True, False), values, strict=True):
                await model.embed_inputs(["a"], EmbedOptions(truncate=truncate))
                assert server.bodies[-1][field] == value


async def test_scores_are_the_servers_own_but_with_tei_which_has_raw_ones(tmp_path: Path) -> None:
    async with opened(tmp_path, "tei", uses="[rerank]") as (model, server):
        for scoring, raw in ((None, False), ("sigmoid", False), ("raw", True)):
            await model.rerank_inputs("q", TEXTS[:2], RerankOptions(scoring=cast("Scoring | None", scoring)))
            assert server.bodies[-1]["raw_scores"] is raw
    async with opened(tmp_path, "cohere", uses="[rerank]") as (model, server):
        await model.rerank_inputs("q", TEXTS[:2], RerankOptions())
        with pytest.raises(InvalidInput, match="m has scores as its server gives them, which cannot become raw"):
            await model.rerank_inputs("q", TEXTS[:2], RerankOptions(scoring="raw"))


async def test_an_input_that_is_refused_is_found_in_the_call_and_not_in_its_piece_only(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        for number, text in enumerate(asked.body["input"]):
            if text == "long":
                return Answer(status=413, body={"error": {"message": f"input {number} is too long"}})
        if "strange" in asked.body["input"]:
            return Answer(status=400, body={"error": {"message": "no such thing"}})
        return Answer(body={"data": [{"embedding": [1.0]} for _ in asked.body["input"]]})

    async with openai_server(script) as server:
        file = file_of(tmp_path, server.base_url, "remote", "inputs_per_request:4")
        model = await asyncio.to_thread(open_remote, file, lambda _: "k")
        for texts, says in (
            (["a"] * 5 + ["long"], r"input 1 is too long \(counted from input 4\)$"),
            (["a", "long"], "input 1 is too long$"),
            (["a"] * 5 + ["strange"], "no such thing$"),
        ):
            with pytest.raises(InvalidInput, match=says):
                await model.embed_inputs(texts, EmbedOptions())
        model.close(0)


async def test_tei_is_asked_by_its_own_route_where_texts_must_not_be_cut(tmp_path: Path) -> None:
    async with opened(tmp_path, "tei") as (model, server):
        usual = await model.embed_inputs(TEXTS, EmbedOptions(dimensions=4))
        assert {each.path for each in server.asked} == {"/v1/embeddings"}
        strict = await model.embed_inputs(TEXTS, EmbedOptions(dimensions=4, truncate=False))
        assert server.asked[-1].path == "/embed"
        assert (server.bodies[-1]["model"], server.bodies[-1]["truncate"]) == ("m", False)
        assert strict.vectors.tolist() == usual.vectors.tolist()


async def test_roles_of_a_server_that_is_not_listed_stand_in_its_options(tmp_path: Path) -> None:
    options = ("role_field:encoding_format", "role_query:q", 'prompt_document:"passage: "', "suffix_query:-q")
    async with opened(tmp_path, "remote", *options) as (model, server):
        assert model.info.prompts == ("document", "query")
        await model.embed_inputs(["a"], EmbedOptions(kind="query"))
        assert server.bodies[-1] == {"model": "m-q", "input": ["a"], "encoding_format": "q"}
        await model.embed_inputs(["a"], EmbedOptions(kind="document"))
        assert server.bodies[-1] == {"model": "m", "input": ["passage: a"]}
        await model.embed_inputs(["a"], EmbedOptions(kind="document", prompt="mine: "))
        assert server.bodies[-1]["input"] == ["mine: a"]
        await model.embed_inputs(["a"], EmbedOptions(prompt_name="query", prompt="mine: "))
        assert server.bodies[-1] == {"model": "m", "input": ["mine: a"]}


@pytest.mark.parametrize(("name", "path"), [("e-1", "models/e-1"), ("tunedModels/e-1", "tunedModels/e-1")])
def test_geminis_models_are_named_with_their_kind(name: str, path: str) -> None:
    request = Gemini().embed(EmbedPiece(model=name, inputs=["a"], fields={}))
    assert request.path == f"/{path}:batchEmbedContents"
    assert [each["model"] for each in request.body["requests"]] == [path]


async def test_a_model_that_is_named_with_its_role_has_no_other(tmp_path: Path) -> None:
    def is_named(asked: Asked) -> Any:
        assert asked.body["model"] == "solar-query"
        return service("upstage")(asked)

    async with openai_server(is_named) as server:
        file = file_of(tmp_path, server.base_url, "upstage")
        (tmp_path / "m.yaml").write_text((tmp_path / "m.yaml").read_text().replace("model: m}", "model: solar-query}"))
        file = scan(tmp_path).files[0]
        model = await asyncio.to_thread(open_remote, file, lambda _: "k")
        assert model.info.prompts == ()
        model.close(0)


async def test_azure_has_its_address_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "{name: m, backend: azure, embeddings: true, parameters: {model: my deployment}, options: ['api_version:2025-01-01']}"
    )
    file = scan(tmp_path).files[0]
    async with openai_server(service("azure", key="k-1")) as server:
        settings = {"AZURE_OPENAI_ENDPOINT": f"{server.base_url}/", "AZURE_OPENAI_API_KEY": "k-1"}
        model = await asyncio.to_thread(open_remote, file, settings.__getitem__)
        model.close(0)
        assert server.asked[0].headers["api-key"] == "k-1"
        assert "authorization" not in server.asked[0].headers
    async with openai_server(service("openai")) as server:
        newer = f"{server.base_url.removesuffix('/v1')}/openai/v1"
        with pytest.raises(InvalidInput, match=r"no route /openai/v1/embeddings$"):
            await asyncio.to_thread(open_remote, file, {**settings, "AZURE_OPENAI_ENDPOINT": newer}.__getitem__)
    with pytest.raises(ConfigInvalid, match="AZURE_OPENAI_ENDPOINT is not set"):
        open_remote(file, lambda _: "")
    with pytest.raises(ConfigInvalid, match="AZURE_OPENAI_ENDPOINT must be a URL"):
        open_remote(file, lambda _: "my-endpoint")


async def test_conversations_with_azure_go_to_the_deployment_too(tmp_path: Path) -> None:
    async with openai_server(lambda _: saying("hello")) as server:
        file = file_of(tmp_path, server.base_url, "azure", uses="[chat]")
        model = await asyncio.to_thread(open_remote, file, lambda _: "k-1")
        events = [each async for each in model.chat([Message(role="user", content="hi")], ChatOptions())]
        assert events[0] == Piece(text="hello")
        assert server.asked[0].path == "/v1/openai/deployments/m/chat/completions?api-version=2024-10-21"
        model.close(0)
        await asyncio.sleep(0)


async def test_a_fingerprint_knows_the_role_that_texts_have_by_default(tmp_path: Path) -> None:
    seen = []
    async with openai_server(service("voyage")) as server:
        for options in ((), ("role_default:query",), ("role_field:none",)):
            file = file_of(tmp_path, server.base_url, "voyage", *options)
            model = await asyncio.to_thread(open_remote, file, lambda _: "k")
            seen.append(model.info.fingerprint)
            model.close(0)
    assert seen[0] == seen[2] != seen[1]


async def test_a_fingerprint_knows_the_servers_of_one_host_by_their_paths(tmp_path: Path) -> None:
    seen = set()
    async with openai_server(lambda _: Answer(body={"data": [{"embedding": [1.0]}]})) as server:
        for path in ("", "/one", "/other"):
            file = file_of(tmp_path, server.base_url + path, "remote")
            model = await asyncio.to_thread(open_remote, file, lambda _: "k")
            seen.add(model.info.fingerprint)
            model.close(0)
    assert len(seen) == 3


@pytest.mark.parametrize("option", ["api_key_header:x-key", "api_key_scheme:Token"])
def test_a_key_that_no_header_may_have_is_told_by_its_variable(option: str, tmp_path: Path) -> None:
    file = file_of(tmp_path, "http://127.0.0.1:9/v1", "remote", option)
    with pytest.raises(ConfigInvalid, match="the key of MILL_API_KEY has signs that no header may have") as caught:
        open_remote(file, lambda _: "hush\nhush")
    assert "hush" not in str(caught.value)


async def test_a_key_is_the_first_that_is_set_and_goes_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("{name: m, backend: voyage, known_usecases: [rerank], parameters: {model: m}}")
    [voyage] = scan(tmp_path).files
    (tmp_path / "m.yaml").write_text("{name: m, backend: cohere, known_usecases: [rerank], parameters: {model: m}}")
    [cohere] = scan(tmp_path).files
    assert open_remote(voyage, {"VOYAGE_API_KEY": "pa-1"}.__getitem__).info.device == "api.voyageai.com"
    assert open_remote(voyage, {"VOYAGE_API_KEY": "al-1"}.__getitem__).info.device == "ai.mongodb.com"
    settings = {"COHERE_API_KEY": "", "CO_API_KEY": "k"}
    assert open_remote(cohere, settings.__getitem__).info.device == "api.cohere.com"
    with pytest.raises(ConfigInvalid, match=r"COHERE_API_KEY is not set \(nor is CO_API_KEY\).*api\.cohere\.com"):
        open_remote(cohere, lambda _: "")


@pytest.mark.parametrize("backend", sorted(SERVICES))
async def test_a_wrong_key_is_told_without_it(backend: str, tmp_path: Path) -> None:
    async with openai_server(service(backend, key="right")) as server:
        file = file_of(tmp_path, server.base_url, backend)
        with pytest.raises(Unavailable, match="does not take the key of MILL_API_KEY") as raised:
            await asyncio.to_thread(open_remote, file, lambda _: "k-wrong")
    assert "k-wrong" not in str(raised.value)
