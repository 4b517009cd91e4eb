"""How many tokens a model takes, from the several files that say so."""

from __future__ import annotations

from textmill.checkpoint.jsonfile import JsonFile
from textmill.errors import ModelBroken

_ROPE = ("rope_theta", "rope_scaling", "rope_parameters")
_TABLES = {"bert": 512}
"""Families that always have a table of absolute positions, whatever else config.json says, and its entries by default."""
_PADDED_POSITIONS = frozenset({"camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"})
"""Families whose positions begin behind the padding token's id, as fairseq counts."""


def max_tokens(config: JsonFile, settings: JsonFile, tokenizer: JsonFile) -> int:
    """The most tokens of an input, special tokens included, as sentence-transformers 6 finds it.

    ``settings`` is sentence_bert_config.json: its tokenizer arguments count first, then its max_seq_length; without either, the
    smaller one of tokenizer_config.json's model_max_length and config.json's max_position_embeddings. Never more than a table
    of absolute positions holds. Raises ModelBroken where no file says.
    """
    limits = [_position_table(config)]
    own = {**settings.get("tokenizer_args", dict, {}), **settings.get("processor_kwargs", dict, {})}
    if own.get("model_max_length") is not None:
        limits.append(_length(JsonFile(settings.path, own), "model_max_length"))
    elif settings.data.get("max_seq_length") is not None:
        limits.append(_length(settings, "max_seq_length"))
    else:
        limits.append(_length(tokenizer, "model_max_length" if "model_max_length" in tokenizer.data else "max_len"))
        if config.data.get("max_position_embeddings") != -1:  # what XLNet writes for no limit
            limits.append(_length(config, "max_position_embeddings"))
    known = [limit for limit in limits if limit is not None]
    if not known:
        msg = f"no file says how many tokens the model takes; put max_seq_length into {settings.path}"
        raise ModelBroken(msg)
    return min(known)


def _position_table(config: JsonFile) -> int | None:
    """Positions that a table of absolute positions holds; None where a model computes them instead."""
    family = config.get("model_type", str, "")
    entries = _length(config, "max_position_embeddings") if config.data.get("max_position_embeddings") != -1 else None
    if family in _TABLES:
        return _TABLES[family] if entries is None else entries
    if entries is None or any(config.data.get(key) is not None for key in _ROPE):
        return None
    offset = config.get("pad_token_id", int, 1) + 1 if family in _PADDED_POSITIONS else 0
    return entries - offset


def _length(file: JsonFile, key: str) -> int | None:
    """A length, or None where it is absent. Tokenizer files write 1e30 for no limit, so any size will do."""
    value = file.data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        msg = f"{file.path}: {key} must be a number of tokens, not {value!r}"
        raise ModelBroken(msg)
    return int(min(value, 2**62))
