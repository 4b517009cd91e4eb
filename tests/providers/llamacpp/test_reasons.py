from __future__ import annotations

import pytest

from textmill.providers.llamacpp.reasons import reason_of

CUT = """0.00.003.523 E llama_model_load: error loading model: tensor 'output.weight' data is not within the file bounds
0.00.003.592 E llama_model_load_from_file_impl: failed to load model
0.00.003.631 E common_fit_params: encountered an error while trying to fit params to free device memory: failed to load model
0.00.003.770 E cmn  common_init_: failed to load model 'cut.gguf'
0.00.003.789 E srv    load_model: failed to load model, 'cut.gguf'
0.00.004.092 E srv          init: exiting due to model loading error"""
MAGIC = """0.00.003.143 E gguf_init_from_reader: invalid magic characters: 'garb', expected 'GGUF'
0.00.003.266 E llama_model_load: error loading model: llama_model_loader: failed to load model from garb.gguf
0.00.003.282 E llama_model_load_from_file_impl: failed to load model"""
MEMORY = """0.18.523.751 E common_fit_params: encountered an error while trying to fit params to free device memory: failed to create
0.24.889.883 E llama_init_from_model: failed to initialize the context: std::bad_alloc
0.24.889.900 E srv    load_model: failed to create_context with model 'ok.gguf'"""
ABORT = """0.00.001.000 I srv          init: loading model
/src/ggml/src/ggml.c:3210: GGML_ASSERT(a->ne[2] == b->ne[0]) failed
#1 0x00007f in ggml_abort"""
THROWN = """terminate called after throwing an instance of 'std::system_error'
  what():  Resource temporarily unavailable"""


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (CUT, "tensor 'output.weight' data is not within the file bounds"),
        (MAGIC, "invalid magic characters: 'garb', expected 'GGUF'"),
        (MEMORY, "there is not enough memory for its weights and its context"),
        (ABORT, "GGML_ASSERT(a->ne[2] == b->ne[0]) failed"),
        (THROWN, "what():  Resource temporarily unavailable"),
        ("0.00.004.092 E srv          init: exiting due to model loading error", "exiting due to model loading error"),
        ("", "Failed to init server"),
    ],
)
def test_the_line_that_says_most_is_the_reason(lines: str, reason: str) -> None:
    assert reason in reason_of(lines.splitlines(), "Failed to init server")


def test_a_reason_is_short() -> None:
    assert len(reason_of([f"0.0 E a: {'x' * 9999}"], "")) < 400
