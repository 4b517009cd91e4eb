"""bge-m3: heads for lexical weights and for late interaction beside the dense one (Chen et al., 2024, arXiv:2402.03216)."""

from __future__ import annotations

import logging
import shlex
from dataclasses import replace

from textmill.arch.heads import Dense
from textmill.checkpoint.kind import Kind, MultiFacts, SparseFacts
from textmill.checkpoint.source import Source

_log = logging.getLogger(__name__)

_LEXICAL, _MULTI = "sparse_linear", "colbert_linear"


def read_bge_m3(source: Source, dense: Kind) -> Kind:
    """The dense kind with what the folder's two further heads add; as it is where there are none.

    The heads are `sparse_linear.safetensors` and `colbert_linear.safetensors`; where only the pickles of the original are
    there, a warning says how to convert them.
    """
    names = [name for name in (_LEXICAL, _MULTI) if (source.folder / f"{name}.safetensors").is_file()]
    pickles = [name for name in (_LEXICAL, _MULTI) if (source.folder / f"{name}.pt").is_file() and name not in names]
    if pickles:
        code = (
            "import torch, safetensors.torch as s; "
            f"[s.save_file(torch.load(f'{{n}}.pt', weights_only=True), f'{{n}}.safetensors') for n in {pickles!r}]"
        )
        _log.warning(
            "%s has %s only as pickles, which textmill does not read because unpickling runs code; convert them in that folder "
            "where PyTorch is installed, to get sparse and multi-vector embeddings too: python -c %s",
            source.folder,
            " and ".join(f"{name}.pt" for name in pickles),
            shlex.quote(code),
        )
    if not names:
        return dense
    outputs = dict(dense.outputs)
    if _LEXICAL in names:
        outputs["lexical"] = (Dense(_LEXICAL, "relu", 1, biased=True),)
    if _MULTI in names:
        outputs["multi"] = (Dense(_MULTI, biased=True),)
    return replace(
        dense,
        outputs=outputs,
        head_files=tuple(names),
        sparse=SparseFacts() if _LEXICAL in names else None,
        multi=MultiFacts(skip_first=True) if _MULTI in names else None,
    )
