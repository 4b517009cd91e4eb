"""What a kind of model can answer, and what its tasks need to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from textmill.arch.heads import Head, Output
from textmill.contract import Scoring
from textmill.errors import ModelBroken


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that logits score.

    ``labels`` are in the order of the logits, None where no file names them; ``scoring`` of None goes by their number.
    """

    labels: tuple[str, ...] | None
    scoring: Scoring | None = None

    def named(self, count: int, tensor: str) -> tuple[str, ...]:
        """The labels of ``count`` scores, which ``tensor`` makes; raises ModelBroken where config.json has others."""
        if self.labels is None:
            return tuple(f"LABEL_{index}" for index in range(count))
        if len(self.labels) != count:
            msg = (
                f"config.json has {len(self.labels)} labels (id2label, label2id or num_labels), but {tensor} tensor makes {count} "
                "scores; they do not belong together"
            )
            raise ModelBroken(msg)
        return self.labels

    def score(self, count: int) -> Scoring:
        """How scores are made of ``count`` logits where a call does not say: one stands on its own, several share 1."""
        return self.scoring or ("sigmoid" if count == 1 else "softmax")


@dataclass(frozen=True, slots=True)
class SparseFacts:
    """What the sparse task needs to know: ``static_queries`` is the folder of a table of weights for queries, or None.

    With such a table (inference-free SPLADE, arXiv:2411.04403) a query's entries are its tokens and the table has their
    weights.
    """

    static_queries: Path | None = None


@dataclass(frozen=True, slots=True)
class Expansion:
    """Queries are filled up to ``length`` tokens with ``token`` (None: the mask token), which the others ``attend`` to or not.

    ``fixed`` also cuts longer ones to that length (ColBERT, arXiv:2004.12832).
    """

    length: int
    attend: bool = False
    fixed: bool = True
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiFacts:
    """What the multi-vector task needs to know.

    A prefix goes in front of each text: as one token where the vocabulary has it and ``prefix_is_token``, else as text.
    Lengths of None are the model's own. ``skip`` are tokens whose vectors are left out on the ``skip_sides``; of documents
    only ``keep_ids`` are kept, where there are some. ``skip_first`` leaves the first token out. ``normalize``: vectors have
    length one.
    """

    query_prefix: str = ""
    document_prefix: str = ""
    prefix_is_token: bool = False
    query_length: int | None = None
    document_length: int | None = None
    expansion: Expansion | None = None
    skip: tuple[str, ...] = ()
    skip_sides: tuple[str, ...] = ("document",)
    keep_ids: tuple[int, ...] = ()
    skip_first: bool = False
    normalize: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How a language model is asked whether a text is relevant to a query.

    Each of ``before``, ``text`` and ``after`` is tokenised by itself, special tokens in it included; ``{query}``,
    ``{instruction}`` and ``{text}`` are filled in. ``instruction`` is what counts as relevant where a call does not say, None
    where the model takes none; it stands in ``around_instruction``. ``yes`` and ``no`` are the answers, by their first tokens.
    """

    before: tuple[str, ...]
    text: str
    after: tuple[str, ...]
    instruction: str | None
    around_instruction: str = "{instruction}"
    yes: str
    no: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of model can answer.

    ``outputs`` has for each output the heads that lead to it from the token states, without the normalising at their end.
    ``head_folders`` are folders below the model's that hold the weights of heads, ``head_files`` safetensors files in the
    model's folder that do, by what goes in front of their tensors' names. ``classes`` are those of its ``logits`` or
    ``token_logits``. ``normalized``: its own files end dense vectors in normalising; no part of what tells models apart, because
    that step is left to whoever embeds.
    """

    outputs: Mapping[Output, tuple[Head, ...]]
    head_folders: tuple[str, ...] = ()
    head_files: tuple[str, ...] = ()
    classes: Classes | None = None
    sparse: SparseFacts | None = None
    multi: MultiFacts | None = None
    question: Question | None = None
    normalized: bool = field(default=False, repr=False)
