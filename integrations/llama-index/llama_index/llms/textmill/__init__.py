"""Chat with a model of a textmill server for LlamaIndex."""

from llama_index.llms.textmill.chat import TextmillLLM

__all__ = ["TextmillLLM"]
