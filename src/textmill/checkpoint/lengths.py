"""How many tokens a model takes, from the several files that say so."""

from __future__ import annotations

from textmill.checkpoint.jsonfile import JsonFile
from textmill.errors import ModelBroken


def max_tokens(config: JsonFile, positions: int | None, settings: JsonFile, tokenizer: JsonFile) -> int:
    """The most tokens of an input, special tokens included, as sentence-transformers 6 finds it.

    ``settings`` is sentence_bert_config.json: its tokenizer arguments count first, then its max_seq_length; without either, the
    smaller one of tokenizer_config.json's model_max_length and config.json's max_position_embeddings. Never more than the
    ``positions`` that the model's table holds, where it has one. Raises ModelBroken where no file says.
    """
    limits = [positions]
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


def _length(file: JsonFile, key: str) -> int | None:
    """A length, or None where it is absent. Tokenizer files write 1e30 for no limit, so any size will do."""
    value = file.data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        msg = f"{file.path}: {key} must be a number of tokens, not {value!r}"
        raise ModelBroken(msg)
    return int(min(value, 2**62))
