"""TextmillRerank: nodes in the order of their relevance to the query, by a model in the process or on a textmill server."""

from __future__ import annotations

import warnings
from typing import Any

from llama_index.core.bridge.pydantic import Field, SecretStr
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index.embeddings.textmill.arguments import device_name, known, meaning, without_secrets
from llama_index.embeddings.textmill.connection import connected, key_of
from llama_index.embeddings.textmill.engines import opened
from llama_index.embeddings.textmill.pickles import Reopened
from llama_index_instrumentation import get_dispatcher

from textmill.contract import Ranked

_dispatcher = get_dispatcher(__name__)

DEFAULT_MODEL = "BAAI/bge-reranker-base"


class TextmillRerank(Reopened, BaseNodePostprocessor):
    """Gives the ``top_n`` nodes that are most relevant to the query, best first, with scores between 0 and 1.

    Takes what SentenceTransformerRerank takes. With a ``base_url`` the model of that name on the server ranks (``POST
    /v1/rerank``; an empty name is its default), else it is loaded, or shared, in the process. The key comes from ``api_key`` or
    else from the variable TEXTMILL_API_KEY, and is no part of what `to_dict` gives.

    Raises what `textmill.load` and `textmill.Model.rerank` raise, and ValueError where there is no query.
    """

    model: str = Field(default=DEFAULT_MODEL, description="The model's name.")
    top_n: int = Field(default=2, description="Nodes to give.", gt=0)
    device: str | None = Field(
        default=None, description="Where to run in the process: cpu, cuda, cuda:1, mps, npu, xpu."
    )
    keep_retrieval_score: bool = Field(default=False, description="Keep the retriever's score in the nodes' metadata.")
    trust_remote_code: bool = Field(default=False, description="Without effect: no code of a repository is run.")
    base_url: str | None = Field(default=None, description="The server's address; None for a model in the process.")
    api_key: SecretStr | None = Field(default=None, description="The server's API key.", exclude=True)
    timeout: float = Field(default=60.0, description="Seconds for each attempt.", gt=0)
    max_retries: int = Field(default=5, description="Further attempts where the server is busy or not reached.", ge=0)
    load_kwargs: dict[str, Any] = Field(default_factory=dict, description="Further keywords of textmill.load.")

    def __init__(
        self,
        top_n: int = 2,
        model: str = DEFAULT_MODEL,
        device: str | None = None,
        keep_retrieval_score: bool = False,  # noqa: FBT001, FBT002 - SentenceTransformerRerank's order
        trust_remote_code: bool = False,  # noqa: FBT001, FBT002 - as above
        **kwargs: Any,
    ) -> None:
        kwargs["load_kwargs"], token = without_secrets(kwargs.get("load_kwargs"))
        key = key_of(kwargs.pop("api_key", None)) if kwargs.get("base_url") is not None else None
        fields = known(kwargs, type(self).model_fields, type(self).__name__, level=2)
        fields |= {"top_n": top_n, "model": str(model), "device": device_name(device), "api_key": key}
        fields |= {"keep_retrieval_score": keep_retrieval_score, "trust_remote_code": bool(trust_remote_code)}
        super().__init__(**fields)
        if self.base_url is not None:
            self._client = connected(self.base_url, self.model, key, timeout=self.timeout, max_retries=self.max_retries)
            return
        meant = meaning({"device": self.device}, self.load_kwargs, type(self).__name__)
        for remark in meant.remarks:
            warnings.warn(remark, stacklevel=2)
        self._client = opened(self.model, meant, token, "cross-encoder")

    @classmethod
    def class_name(cls) -> str:
        """Its name in dumps."""
        return "TextmillRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._told(nodes, query) as event:
            return self._chosen(nodes, self._client.rerank(query, _texts(nodes), top=self.top_n), event)

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._told(nodes, query) as event:
            return self._chosen(nodes, await self._client.arerank(query, _texts(nodes), top=self.top_n), event)

    def _told(self, nodes: list[NodeWithScore], query: str) -> Any:
        """The event of a call, for LlamaIndex's callbacks and its instrumentation."""
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=self.top_n, model_name=self.model))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self.model,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: self.top_n,
        }
        return self.callback_manager.event(CBEventType.RERANKING, payload=payload)

    def _chosen(self, nodes: list[NodeWithScore], best: list[Ranked], event: Any) -> list[NodeWithScore]:
        chosen = []
        for each in best:
            node = nodes[each.index]
            if self.keep_retrieval_score:
                node.node.metadata["retrieval_score"] = node.score
            chosen.append(NodeWithScore(node=node.node, score=each.score))
        event.on_end(payload={EventPayload.NODES: chosen})
        _dispatcher.event(ReRankEndEvent(nodes=chosen))
        return chosen


def _query(bundle: QueryBundle | None) -> str:
    if bundle is None:
        msg = "reranking needs the query: give query_bundle or query_str"
        raise ValueError(msg)
    return bundle.query_str


def _texts(nodes: list[NodeWithScore]) -> list[str]:
    return [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
