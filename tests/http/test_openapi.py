from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import msgspec
import pytest

from textmill.http.app import OPERATIONS
from textmill.http.embeddings_request import EmbeddingsRequest
from textmill.http.operation import Operation
from textmill.http.tei_embed import EmbedRequest


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        found = {node["$ref"]} if "$ref" in node else set[str]()
        return found.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set[str]().union(*(references(value) for value in node))
    return set()


PATHS = {
    "/v1/embeddings",
    "/embeddings",
    "/v1/chat/completions",
    "/chat/completions",
    "/v1/completions",
    "/completions",
    "/v1/engines/{model}/completions",
    "/openai/deployments/{deployment}/embeddings",
    "/openai/deployments/{deployment}/chat/completions",
    "/openai/deployments/{deployment}/completions",
    "/openai/v1/embeddings",
    "/openai/v1/chat/completions",
    "/openai/v1/completions",
    "/models/{repository}/pipeline/{pipeline}",
    "/hf-inference/models/{id}",
    "/hf-inference/models/{repository}/pipeline/{pipeline}",
    "/pipeline/{pipeline}/{repository}",
    "/classify",
    "/v1/edits",
    "/edits",
    "/v1/rerank",
    "/jina/v1/rerank",
    "/v1/v1/rerank",
    "/v1/embed",
    "/v1/v1/embed",
    "/v2/embed",
    "/v1/v2/embed",
    "/v2/rerank",
    "/v1/v2/rerank",
    "/v1/tokenize",
    "/v1/detokenize",
    "/v1/models",
    "/models",
    "/openai/v1/models",
    "/openai/models",
    "/openai/v1/models/{id}",
    "/openai/models/{id}",
    "/v1/engines/{model}/embeddings",
    "/v1/models/{id}",
    "/models/{id}",
    "/v1/models/capabilities",
    "/models/capabilities",
    "/models/apply",
    "/models/import-uri",
    "/models/delete/{name}",
    "/models/jobs",
    "/models/jobs/{uuid}",
    "/models/available",
    "/models/galleries",
    "/backend/monitor",
    "/v1/backend/monitor",
    "/system",
    "/version",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/tags",
    "/api/show",
    "/api/ps",
    "/api/version",
    "/backend/load",
    "/v1/backend/load",
    "/backend/shutdown",
    "/v1/backend/shutdown",
    "/healthz",
    "/readyz",
    "/embed",
    "/embed_all",
    "/embed_chunks",
    "/embed_sparse",
    "/predict",
    "/rerank",
    "/vectors",
    "/vectors/",
    "/meta",
    "/.well-known/ready",
    "/.well-known/live",
    "/similarity",
    "/tokenize",
    "/decode",
    "/",
    "/invocations",
    "/vertex",
    "/ping",
    "/info",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/api-doc/openapi.json",
}


async def test_the_document_names_every_route(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == PATHS


async def test_no_two_paths_are_the_same_but_for_the_names_of_their_parameters(document: dict[str, Any]) -> None:
    shapes = [re.sub(r"{[^}]*}", "{}", path) for path in document["paths"]]
    assert sorted(shapes) == sorted(set(shapes))


async def test_every_reference_leads_to_a_schema(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document["paths"]) | references(document["components"]) <= known


async def test_operation_ids_are_unique_and_everything_is_described(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert all(response["description"] for response in operation["responses"].values())
    for name in ("EmbeddingsRequest", "EmbedRequest", "PredictRequest", "RerankDocumentsRequest", "Ranking"):
        fields = document["components"]["schemas"][name]["properties"]
        assert all(field.get("description") for field in fields.values())


async def test_the_examples_are_true(document: dict[str, Any], client: httpx.AsyncClient) -> None:
    for path, struct in (("/v1/embeddings", EmbeddingsRequest), ("/embed", EmbedRequest)):
        operation = document["paths"][path]["post"]
        example = operation["requestBody"]["content"]["application/json"]["example"]
        msgspec.convert(example, struct)
        assert (await client.post(path, json=example)).status_code == 200


def strangers(example: Any, kind: Any) -> set[str]:
    """The fields of an example that its type does not have."""
    if not isinstance(example, dict) or not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return set()
    return set(example) - {field.encode_name for field in msgspec.structs.fields(kind)}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.paths[0]}")
def test_every_example_is_what_its_route_takes_and_gives(operation: Operation[Any]) -> None:
    pairs = [(operation.example, operation.documented or operation.takes), (operation.answers_with, operation.gives)]
    for example, kind in pairs:
        if example is not None and not isinstance(kind, str | None):
            msgspec.json.decode(msgspec.json.encode(example), type=kind)
            assert strangers(example, kind) == set()


async def test_failures_show_the_dialects_error_body(document: dict[str, Any]) -> None:
    paths = document["paths"]
    openai = paths["/v1/embeddings"]["post"]["responses"]["429"]["content"]["application/json"]["schema"]
    tei = paths["/embed"]["post"]["responses"]["424"]["content"]["application/json"]["schema"]
    assert (openai["$ref"], tei["$ref"]) == ("#/components/schemas/ErrorBody", "#/components/schemas/ErrorText")


class Page(HTMLParser):
    """The ids and the foreign addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            if name in {"src", "href"}:
                self.links.append(value or "")


async def test_each_operation_succeeds_in_one_way(document: dict[str, Any], client: httpx.AsyncClient) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            assert len([status for status in operation["responses"] if status.startswith("2")]) == 1
    for path in ("/.well-known/ready", "/.well-known/live"):
        assert set(document["paths"][path]["get"]["responses"]) == {"204", "503"}
    assert 'responses["200"]' not in (await client.get("/docs")).text  # the page has to read those without it too


async def test_the_page_stands_alone_and_reads_the_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = Page()
    page.feed(answer.text)
    assert set(page.links) == {"openapi.json"}
    assert set(re.findall(r'byId\("([^"]+)"\)', answer.text)) <= page.ids
    assert 'fetch("openapi.json")' in answer.text
    assert "innerHTML" not in answer.text
    assert "prefers-color-scheme: dark" in answer.text


async def test_every_route_says_all_that_it_may_answer(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            statuses = set(operation["responses"])
            if method == "post":
                teis = operation["tags"] == ["Text Embeddings Inference"] and path != "/embed_chunks"
                strict = {"415"} if teis else set()
                assert {"200", "400", "401", "404", "413", "429", "500", "503"} | strict <= statuses
            elif operation["security"]:
                assert {"200", "401", "404", "500"} <= statuses


async def test_the_parameters_of_paths_and_queries_are_described(document: dict[str, Any]) -> None:
    def told(path: str, method: str) -> dict[str, tuple[str, bool]]:
        parameters = document["paths"][path][method].get("parameters", [])
        assert all(each["description"] and each["schema"]["type"] == "string" for each in parameters)
        return {each["name"]: (each["in"], each["required"]) for each in parameters}

    assert told("/models/jobs/{uuid}", "get") == told("/models/jobs/{uuid}", "delete") == {"uuid": ("path", True)}
    assert told("/v1/models", "get") == {"filter": ("query", False), "excludeConfigured": ("query", False)}
    assert told("/v1/engines/{model}/embeddings", "post") == {"model": ("path", True)}
    assert told("/v1/embeddings", "post") == told("/embed", "post") == {"model": ("query", False)}
    assert told("/backend/monitor", "get") == {"model": ("query", False)}  # or in a body
    assert told("/models/apply", "post") == {}


async def test_refusals_are_documented_as_what_they_are(document: dict[str, Any]) -> None:
    responses = document["paths"]["/embed"]["post"]["responses"]
    forms = {status: set(response.get("content", {})) for status, response in responses.items()}
    assert forms["422"] == forms["400"] == {"application/json", "text/plain"}
    assert forms["415"] == {"text/plain"}
    assert forms["401"] == set()
    assert forms["424"] == {"application/json"}
    assert set(document["paths"]["/rerank"]["post"]["responses"]["401"]["content"]) == {"application/json"}


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
async def test_what_loads_a_model_in_ollamas_dialect_is_documented(
    path: str, document: dict[str, Any], client: httpx.AsyncClient
) -> None:
    answer = await client.post(path, json={"model": "tiny"})
    schema = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    assert set(named["required"]) <= set(answer.json())


async def test_inputs_are_described_exactly(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    text, ids, several = schemas["EmbedRequest"]["properties"]["inputs"]["anyOf"]
    assert (text["minLength"], ids["minItems"], several["minItems"]) == (1, 1, 1)
    single, _, several, with_text = schemas["EmbeddingsRequest"]["properties"]["input"]["anyOf"]
    assert (single["minLength"], with_text["required"]) == (1, ["text"])
    assert "minLength" not in several["items"]["anyOf"][0]
    assert "x-exactly" not in str(document)


async def test_the_servers_are_the_default_and_one_for_each_model(document: dict[str, Any]) -> None:
    assert [server["url"] for server in document["servers"]] == ["/", "/m/{model}"]
    assert document["servers"][1]["variables"]["model"]["default"] == "tiny"
