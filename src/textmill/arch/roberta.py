"""RoBERTa: Liu et al., 2019, arXiv:1907.11692; CamemBERT (arXiv:1911.03894) and XLM-RoBERTa (arXiv:1911.02116) are the same.

BERT's encoder with positions that start behind the padding's id, no pooler before the classifier, and another head for words.
In the reference a padding id within a row takes no position; texts never hold one, so here every token takes the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from textmill.arch import bert
from textmill.arch.bert import forward
from textmill.arch.config import check_positive
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Tensor

__all__ = ["OPTIONAL", "Config", "classifier", "forward", "language_model", "sanitize", "token_classifier"]


@dataclass(frozen=True, slots=True)
class Config(bert.Config):
    """BERT's keys, with transformers' defaults for RoBERTa."""

    vocab_size: int = 50265
    pad_token_id: int = 1

    def __post_init__(self) -> None:
        bert.Config.__post_init__(self)
        check_positive(**{"max_position_embeddings behind pad_token_id": self.entries})

    @property
    def entries(self) -> int:
        """Entries of the table of positions from the first token's on."""
        return self.max_position_embeddings - self.skipped

    @property
    def skipped(self) -> int:
        """Entries of the table of positions that no token has."""
        return self.pad_token_id + 1


BIASED = True
OPTIONAL = ("pooler.", "classifier.", "lm_head.")


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without a prefix, the table of positions from the first token's on, the head's decoder tied to the words."""
    plain = bert.plain_names(config, tensors, ("roberta.", "camembert.", "xlm-roberta.", "xlm_roberta."))
    return bert.tie(cut_positions(plain, config.skipped), "lm_head.decoder", bias="lm_head.bias")


def cut_positions(tensors: dict[str, Tensor], skipped: int) -> dict[str, Tensor]:
    """The same tensors, with the table of positions without its first entries."""
    table = tensors.get("embeddings.position_embeddings.weight")
    if table is not None and table.shape:
        tensors["embeddings.position_embeddings.weight"] = replace(table, data=table.data[skipped:])
    return tensors


def classifier(_config: bert.Config) -> tuple[Head, ...]:
    """Scores of a row, from its first token."""
    return Pooling(("cls",)), Dense("classifier.dense", "tanh"), Dense("classifier.out_proj")


def token_classifier(_config: bert.Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: bert.Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    return (
        Dense("lm_head.dense", "gelu"),
        LayerNorm("lm_head.layer_norm", config.layer_norm_eps),
        Dense("lm_head.decoder", features=config.vocab_size),
    )
