"""The verbs of PyTorch on packed rows, against plain ones that take one row at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch  # noqa: TID253 - the runtime under test is torch's
from torch import Tensor as Array  # noqa: TID253 - as above

from textmill.arch.ops import Pool
from textmill.arch.positions import Distances, Relative, Rotation, Slopes, Table
from textmill.runtimes.runtime import Row
from textmill.runtimes.torch_attention import BLOCK_BYTES, Kernel, Scores, agrees
from textmill.runtimes.torch_batch import Batch, Size, groups_of, pack, size_of
from textmill.runtimes.torch_ops import PackedOps
from textmill.runtimes.torch_weights import Store

LENGTHS = (1, 2, 2, 7, 7, 13)
HEADS, WIDTH, BUCKETS = 4, 8, 9
STORE = Store(torch.device("cpu"), torch.float32)


def clipped(distances: Distances) -> Distances:
    """Entries of a table of `BUCKETS`."""
    return np.clip(distances, -4, 4) + 4


def random(*shape: int, seed: int = 0) -> Array:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows_of(
    lengths: Sequence[int] = LENGTHS, attended: Sequence[int | None] | None = None, prompt: int = 0
) -> list[Row]:
    ends = attended or [None] * len(lengths)
    return [
        Row(np.arange(length, dtype=np.int32), prompt_tokens=prompt, attended=end)
        for length, end in zip(lengths, ends, strict=True)
    ]


def ops_of(
    rows: Sequence[Row], size: Size | None = None, kernel: Kernel | None = None, block_bytes: int = BLOCK_BYTES
) -> PackedOps:
    """For rows alone, or in a batch of another size, whose rows only the device knows."""
    room = size or size_of(rows)
    batch = Batch.of(torch.from_numpy(pack(rows, room)), room, None if size else groups_of(rows))
    return PackedOps(STORE, batch, kernel=kernel, block_bytes=block_bytes)


def split(x: Array, rows: Sequence[Row]) -> list[Array]:
    ends = np.cumsum([0, *map(len, rows)])
    return [x[start:end] for start, end in pairwise(ends)]


def plain_attention(  # noqa: C901 - every formula unfolded
    q: Array, k: Array, v: Array, scores: Scores, end: int
) -> Array:
    """One row: every formula as `Ops.attention` words it, pair by pair."""
    length = len(q)
    out = torch.zeros_like(q)
    for head in range(q.shape[1]):
        own = head * k.shape[1] // q.shape[1]
        for i in range(length):
            logits = torch.full((length,), -math.inf)
            for j in range(end):
                away = i - j
                if (scores.window is not None and abs(away) > scores.window) or (scores.causal and away < 0):
                    continue
                logit = q[i, head] @ k[j, own]
                if scores.relative is not None:
                    entry = int(scores.relative.index(np.array(away)))
                    if scores.relative.keys is not None:
                        logit = logit + q[i, head] @ scores.relative.keys[entry, head]
                    if scores.relative.queries is not None:
                        logit = logit + k[j, own] @ scores.relative.queries[entry, head]
                logit = logit * scores.scale
                if isinstance(scores.bias, Slopes):
                    logit = logit - float(scores.bias.slopes[head]) * abs(away)
                elif scores.bias is not None:
                    logit = logit + scores.bias.entries[int(scores.bias.index(np.array(away))), head]
                logits[j] = logit
            out[i, head] = logits.softmax(0) @ v[:, own] if logits.max() > -math.inf else 0
    return out


TABLE = Table(random(BUCKETS, HEADS, seed=5), clipped)
SLOPES = Slopes(np.array([0.5, 0.25, 0.1, 0.05], np.float32))
BOTH = Relative(random(BUCKETS, HEADS, WIDTH, seed=6), random(BUCKETS, HEADS, WIDTH, seed=7), clipped)
KEYS = Relative(BOTH.keys, None, clipped)
QUERIES = Relative(None, BOTH.queries, clipped)

VARIANTS = {
    "plain": Scores(causal=False, scale=0.3, window=None, bias=None, relative=None),
    "causal": Scores(causal=True, scale=0.3, window=None, bias=None, relative=None),
    "window": Scores(causal=False, scale=0.3, window=2, bias=None, relative=None),
    "causal window": Scores(causal=True, scale=0.3, window=3, bias=None, relative=None),
    "window of nothing but itself": Scores(causal=False, scale=0.3, window=0, bias=None, relative=None),
    "table": Scores(causal=False, scale=0.3, window=None, bias=TABLE, relative=None),
    "slopes": Scores(causal=False, scale=0.3, window=None, bias=SLOPES, relative=None),
    "causal table window": Scores(causal=True, scale=0.3, window=3, bias=TABLE, relative=None),
    "relative": Scores(causal=False, scale=0.3, window=None, bias=None, relative=BOTH),
    "relative keys": Scores(causal=False, scale=0.3, window=None, bias=None, relative=KEYS),
    "relative queries": Scores(causal=True, scale=0.3, window=None, bias=None, relative=QUERIES),
    "relative slopes window": Scores(causal=False, scale=0.3, window=2, bias=SLOPES, relative=BOTH),
}


def attend(ops: PackedOps, qkv: tuple[Array, Array, Array], scores: Scores) -> Array:
    return ops.attention(
        *qkv, causal=scores.causal, scale=scores.scale, window=scores.window, bias=scores.bias, relative=scores.relative
    )


def states(tokens: int, kv: int = HEADS) -> tuple[Array, Array, Array]:
    return random(tokens, HEADS, WIDTH, seed=1), random(tokens, kv, WIDTH, seed=2), random(tokens, kv, WIDTH, seed=3)


@pytest.fixture(params=sorted(VARIANTS))
def scores(request: pytest.FixtureRequest) -> Scores:
    return VARIANTS[request.param]


def expected_attention(rows: Sequence[Row], qkv: tuple[Array, Array, Array], scores: Scores) -> Array:
    pieces = zip(rows, *(split(x, rows) for x in qkv), strict=True)
    return torch.cat([plain_attention(q, k, v, scores, row.attended or len(row)) for row, q, k, v in pieces])


@pytest.mark.parametrize("block_bytes", [BLOCK_BYTES, 1000, 1])
@pytest.mark.parametrize("attended", [None, (1, 1, None, 3, 7, 6)])
def test_attention_equals_the_plain_one_in_blocks_of_any_size(
    scores: Scores, attended: tuple[int | None, ...] | None, block_bytes: int
) -> None:
    rows = rows_of(attended=attended)
    qkv = states(sum(LENGTHS))
    made = attend(ops_of(rows, block_bytes=block_bytes), qkv, scores)
    torch.testing.assert_close(made, expected_attention(rows, qkv, scores), rtol=0, atol=2e-6)


@pytest.mark.parametrize("variant", ["plain", "causal", "window", "table"])
def test_key_heads_serve_groups_of_query_heads(variant: str) -> None:
    rows, qkv = rows_of(), states(sum(LENGTHS), kv=2)
    made = attend(ops_of(rows), qkv, VARIANTS[variant])
    torch.testing.assert_close(made, expected_attention(rows, qkv, VARIANTS[variant]), rtol=0, atol=2e-6)


def test_attention_over_all_tokens_equals_the_plain_one(scores: Scores) -> None:
    rows = rows_of()
    qkv = states(40)
    made = attend(ops_of(rows, Size(40, 9)), qkv, scores)[: sum(LENGTHS)]
    own = tuple(x[: sum(LENGTHS)] for x in qkv)
    expected = expected_attention(rows, (own[0], own[1], own[2]), scores)
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("variant", ["plain", "causal", "window", "causal window"])
def test_a_kernel_gets_the_rows_ends_and_the_sides_of_the_window(variant: str) -> None:
    rows, scores = rows_of(), VARIANTS[variant]
    calls = []

    def kernel(
        query: Array, key: Array, value: Array, *, ends: Array, longest: int, scale: float, window: tuple[int, int]
    ) -> Array:
        calls.append((longest, scale))
        out = torch.zeros_like(query)
        for start, end in pairwise(ends.tolist()):
            q, k, v = (x[start:end].float().transpose(0, 1) for x in (query, key, value))
            away = torch.arange(end - start)[:, None] - torch.arange(end - start)
            before, after = (end - start if side < 0 else side for side in window)
            logits = (q @ k.transpose(1, 2) * scale).masked_fill((away > before) | (-away > after), -math.inf)
            out[start:end] = (logits.softmax(-1) @ v).transpose(0, 1).to(query.dtype)
        return out

    qkv = states(sum(LENGTHS))
    halved = qkv[0].bfloat16(), qkv[1].bfloat16(), qkv[2].bfloat16()
    made = attend(ops_of(rows, kernel=kernel), halved, scores)
    assert calls == [(max(LENGTHS), scores.scale)]
    torch.testing.assert_close(made.float(), expected_attention(rows, qkv, scores), rtol=0, atol=0.05)
    attend(ops_of(rows, kernel=kernel), qkv, scores)
    attend(ops_of(rows, kernel=kernel), halved, VARIANTS["table"])
    attend(ops_of(rows_of(attended=(1, 1, 1, 1, 1, 1)), kernel=kernel), halved, scores)
    assert len(calls) == 1


@pytest.mark.parametrize("variant", ["window", "slopes", "relative"])
def test_no_long_row_makes_scores_of_all_pairs(variant: str) -> None:
    length = 3000
    qkv = states(length)
    ops = ops_of(rows_of((length,)), block_bytes=1 << 20)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        attend(ops, qkv, VARIANTS[variant])
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest < 4 << 20 < length * length * 4


@pytest.mark.parametrize("size", [None, Size(48, 8)])
def test_convolution_sees_zeros_around_each_row(size: Size | None) -> None:
    rows = rows_of()
    x, weight, bias = random(size.tokens if size else sum(LENGTHS), 6), random(5, 6, 5, seed=1), random(5, seed=2)
    made = ops_of(rows, size).convolve(x, weight, bias)[: sum(LENGTHS)]
    expected = [
        torch.nn.functional.conv1d(part.T[None], weight, bias, padding=2)[0].T
        for part in split(x[: sum(LENGTHS)], rows)
    ]
    torch.testing.assert_close(made, torch.cat(expected), rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [None, Size(48, 8)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_each_token_gets_its_best_experts(size: Size | None, *, with_bias: bool) -> None:
    experts, inner, features = 5, 7, 6
    x = random(size.tokens if size else sum(LENGTHS), features)
    router, first = random(experts, features, seed=1), random(experts, inner, features, seed=2)
    second, bias = random(experts, inner, features, seed=3), random(features, seed=4) if with_bias else None
    made = ops_of(rows_of(), size).experts(x, router, first, second, bias, top=2, activation="gelu")
    for token, state in zip(x, made, strict=True):
        shares = (router @ token).softmax(0)
        total = torch.zeros(features) if bias is None else bias.clone()
        for expert in shares.argsort(descending=True)[:2]:
            total += shares[expert] * (torch.nn.functional.gelu(first[expert] @ token) @ second[expert])
        torch.testing.assert_close(state, total, rtol=0, atol=1e-5)


def plain_pool(part: Array, how: Pool, row: Row) -> Array:
    kept = part[row.prompt_tokens : row.attended]
    weights = torch.arange(row.prompt_tokens + 1, row.prompt_tokens + 1 + len(kept))[:, None].float()
    return {
        "cls": lambda: kept[0],
        "lasttoken": lambda: kept[-1],
        "mean": lambda: kept.mean(0),
        "max": lambda: kept.amax(0),
        "sum": lambda: kept.sum(0),
        "mean_sqrt_len_tokens": lambda: kept.sum(0) / math.sqrt(len(kept)),
        "weightedmean": lambda: (kept * weights).sum(0) / weights.sum(),
    }[how]()


@pytest.mark.parametrize("how", get_args(Pool))
@pytest.mark.parametrize("size", [None, Size(48, 8)])
def test_pooling_counts_what_is_attended_to_beyond_the_prompt(how: Pool, size: Size | None) -> None:
    rows = rows_of((3, 5, 5, 9), (None, 4, None, 3), prompt=2)
    x = random(size.tokens if size else 22, 6)
    # What does not count stays out even where it is not finite.
    x[0] = math.inf
    x[22:] = math.nan
    made = ops_of(rows, size).pool(x, how)[:4]
    assert made.dtype == torch.float32
    expected = torch.stack([plain_pool(part, how, row) for part, row in zip(split(x[:22], rows), rows, strict=True)])
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [None, Size(48, 8)])
def test_rotation_by_length_gives_each_row_its_own_angles(size: Size | None) -> None:
    base = np.array([1.0, 0.1], np.float32)
    rotation = Rotation(base, scale=1.5, by_length=lambda length: base / np.float32(length))
    rows = rows_of()
    ops = ops_of(rows, size)
    x = random(size.tokens if size else sum(LENGTHS), HEADS, WIDTH)
    tokens = np.concatenate([np.arange(n) for n in LENGTHS] + ([np.zeros(16, np.int64)] if size else []))
    made = ops.rope(x, torch.from_numpy(tokens), rotation)[: sum(LENGTHS)]
    for part, turned, length in zip(split(x, rows), split(made, rows), LENGTHS, strict=True):
        angles = torch.arange(length)[:, None, None] * torch.from_numpy(base) / length
        a, b = part[..., :2], part[..., 2:4]
        first, second = a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()
        expected = torch.cat([first * 1.5, second * 1.5, part[..., 4:]], dim=-1)
        torch.testing.assert_close(turned, expected, rtol=0, atol=2e-6)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="32 tokens, 6 rows do not fit into 40 tokens, 6 rows"):
        pack(rows_of(), Size(40, 6))


def row_by_row(
    query: Array, key: Array, value: Array, *, ends: Array, longest: int, scale: float, window: tuple[int, int]
) -> Array:
    """What a kernel computes, in the plainest way."""
    before, after = (longest if side < 0 else side for side in window)
    parts = []
    for start, end in pairwise(ends.tolist()):
        away = torch.arange(end - start)[:, None] - torch.arange(end - start)
        q, k, v = (x[start:end].transpose(0, 1) for x in (query, key, value))
        seen = (away <= before) & (-away <= after)
        parts.append(
            torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale).transpose(0, 1)
        )
    return torch.cat(parts)


def test_a_kernel_is_used_only_where_it_runs_and_is_right(caplog: pytest.LogCaptureFixture) -> None:
    def blind(
        query: Array, key: Array, value: Array, *, ends: Array, longest: int, scale: float, window: tuple[int, int]
    ) -> Array:
        del window
        return row_by_row(query, key, value, ends=ends, longest=longest, scale=scale, window=(-1, -1))

    def absent(*_: Array, **__: object) -> Array:
        message = "no kernel image is available"
        raise RuntimeError(message)

    cpu = torch.device("cpu")
    assert agrees(row_by_row, cpu)
    assert not agrees(blind, cpu)
    assert not agrees(absent, cpu)
    assert "computes something else here" in caplog.text
    assert "no kernel image is available" in caplog.text
