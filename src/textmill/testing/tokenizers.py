"""Tokenizers of the tiny checkpoints, built in code; both take any text."""

from __future__ import annotations

import string

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

_WORDS = (
    "the a an of to in is are was be and or not it this that with for on as at by from we you they he she "
    "river stone sentence text model query passage search about hello world small large cat dog house water fire "
    "weather today sunny lovely stadium drove outside how what where when who why"
)
_PIECES = "ing ed s er ly tion est un re"
_OTHERS = "éßñøœабвгдежзиклмнопрстуыьэяαβγδελμνπσω中文字世界你好日本語のテストعربيשלום한국어"


def bert_tokenizer() -> Tokenizer:
    """WordPiece as BERT has it: lower case, [CLS] before, [SEP] behind; characters it does not have become [UNK]."""
    characters = dict.fromkeys(string.ascii_lowercase + string.digits + string.punctuation + _OTHERS)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS.split(), *characters]
    tokens += [f"##{piece}" for piece in (*_PIECES.split(), *characters)]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in tokens[:5]])
    return tokenizer


def qwen3_tokenizer() -> Tokenizer:
    """Bytes with a few merges, and Qwen3's end of text behind."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("h", "e"), ("t", "he"), ("i", "n"), ("Ġ", "the"), ("r", "e"), ("o", "n"), ("Ġ", "s")]
    tokens = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    tokenizer.add_special_tokens([AddedToken(end, special=True), AddedToken("<|im_start|>", special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, len(tokens))]
    )
    return tokenizer
