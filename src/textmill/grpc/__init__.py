"""The gRPC dialect of Text Embeddings Inference: `tei.v1`, with health and reflection, on a port of its own.

Within this package ``import grpc`` is the library; modules import each other by their full names.
"""
