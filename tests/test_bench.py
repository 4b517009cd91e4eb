"""The comparison's own arithmetic: a wrong ratio would be believed."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from bench.closed_loop import Load, in_tasks, in_threads
from bench.contenders import CONTENDERS, LABELS
from bench.figures import bulk_runs, ratio
from bench.http_client import Connection, Refused, render
from bench.machine import busy_seconds, used_seconds
from bench.messages import Answered, Settings, Start, Timed
from bench.picture import COLOURS
from bench.plan import Cell, plan
from bench.processes import Died, Process
from bench.report import report, table
from bench.results import Accuracy, BulkRun, CellRun, Machine, Result, Service, Text, read
from bench.targets import targets
from bench.workloads import MIXED, Vocabulary, make
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors


def result() -> Result:
    made = Result(
        date="2026-01-01T00:00:00+00:00",
        model="all-MiniLM-L6-v2",
        machine=Machine("a CPU, 2 cores", ["avx2"], (0, 1), 8.0, "Linux", "3.11", {"numpy": "2"}),
        workloads=[Text(MIXED, 10, 1000, 0)],
        rounds=2,
        notes={"textmill-auto": "one", "textmill-float32": "two", "sentence-transformers": "three"},
        skipped={"fastembed": "fastembed is not installed."},
        service=Service([1.5, 2.5, 1.7], 300.0, 320.0),
    )
    seconds = {"textmill-auto": (1.0, 2.0), "textmill-float32": (2.0, 4.0), "sentence-transformers": (7.0, 15.0)}
    for name, rounds in seconds.items():
        made.bulk.extend(BulkRun(i + 1, MIXED, name, Timed(took, 10, 1000)) for i, took in enumerate(rounds))
        made.accuracy.append(Accuracy(MIXED, name, 0.99995, 2e-6))
    return made


def folder_with_a_vocabulary(folder: Path) -> Path:
    letters = "abcdefghijklmnopqrst"
    words = [first + second + third for first in letters for second in letters for third in letters]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        ".",
        *words,
        *(f"##{first}{second}z" for first in "xy" for second in "xy"),
    ]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))  # noqa: S106 - a name, not a secret
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_ratios_are_taken_within_rounds() -> None:
    made = result()
    found = ratio(bulk_runs(made, MIXED, "textmill-auto"), bulk_runs(made, MIXED, "sentence-transformers"))
    assert found is not None
    assert (found.median, found.low, found.high) == pytest.approx((7.25, 7.0, 7.5))


def test_targets_are_judged_by_their_medians() -> None:
    judged = {target.what: target.met for target in targets(result())}
    assert judged[f"mixed lengths, {LABELS['textmill-auto']} ÷ {LABELS['sentence-transformers']}"]
    assert not judged[f"mixed lengths, {LABELS['textmill-float32']} ÷ {LABELS['sentence-transformers']}"]
    assert judged["`textmill serve` to the first right answer"]
    assert judged["largest difference of float32 vectors"]


def test_the_report_names_who_was_left_out_and_why() -> None:
    assert "FastEmbed was left out: fastembed is not installed." in report(result())


def test_the_report_warns_when_the_machine_was_not_quiet() -> None:
    made = result()
    assert "not quiet" not in report(made)
    made.bulk = [BulkRun(1, MIXED, "textmill-auto", Timed(1.0, 10, 1000), others=0.3)]
    assert "not quiet" in report(made)


def test_the_report_has_a_row_a_cell_and_a_column_a_contender() -> None:
    made = result()
    cell = Cell(MIXED, 1, 16)
    made.cells = [CellRun(1, cell, "textmill-auto", Answered(2.0, 100, 100, 6000, 3.0, 9.0, "tasks"))]
    text = report(made)
    assert "| mixed  | 1     | 16      | 50 " in text
    assert "3.00 / 9.00" in text


def test_table_columns_are_of_equal_width() -> None:
    lines = table(["a", "long head"], [["long cell", "b"]]).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_results_survive_their_file(tmp_path: Path) -> None:
    result().write(tmp_path / "latest.json")
    assert read(tmp_path / "latest.json") == result()


def test_every_contender_has_a_label_and_a_colour() -> None:
    assert CONTENDERS.keys() == LABELS.keys() == COLOURS.keys()


def test_texts_have_exactly_the_tokens_they_say(tmp_path: Path) -> None:
    vocabulary = Vocabulary(folder_with_a_vocabulary(tmp_path))
    long = make(vocabulary, "512", bulk=4, pool=8, limit=256)
    assert vocabulary.count(long.texts) == [512] * 8
    assert set(long.tokens) == {256}
    assert long.cut == 4


def test_mixed_texts_are_distinct_and_the_same_every_time(tmp_path: Path) -> None:
    vocabulary = Vocabulary(folder_with_a_vocabulary(tmp_path))
    mixed = make(vocabulary, MIXED, bulk=100, pool=300, limit=256)
    assert mixed == make(vocabulary, MIXED, bulk=100, pool=300, limit=256)
    assert len(set(mixed.texts)) == len(mixed.texts)
    assert mixed.tokens == vocabulary.count(mixed.texts)
    assert min(mixed.tokens) >= 4
    assert max(mixed.tokens) <= 256
    assert 35 < np.median(mixed.tokens) < 57


def test_a_text_is_never_asked_for_twice_at_the_same_time() -> None:
    made = plan(only=(), rounds=3, full=True, quick=False, bulk_only=False, minutes=10, limit=256)
    assert all(made.pool(cell.workload) >= 2 * cell.texts * cell.clients for cell in made.cells)


def test_the_full_plan_has_every_cell_and_the_usual_one_only_light_ones() -> None:
    full = plan(only=(), rounds=3, full=True, quick=False, bulk_only=False, minutes=10, limit=256)
    usual = plan(only=(), rounds=3, full=False, quick=False, bulk_only=False, minutes=10, limit=256)
    assert len(full.cells) == 4 * 3 * 3
    assert Cell(MIXED, 64, 64) not in usual.cells
    assert Cell("16", 1, 16) in usual.cells


def test_threads_count_every_answer_and_stay_within_their_number() -> None:
    running, most, calls = 0, 0, 0

    def embed(texts: Sequence[str]) -> None:
        nonlocal running, most, calls
        running, calls = running + 1, calls + 1
        most = max(most, running)
        running -= len(texts)

    # Threads may begin late on a machine that does something else.
    run = in_threads(embed, Load([["a"], ["b"]], 4, 0.3), at_once=1)
    assert most == 1
    assert len(run.milliseconds) == calls >= 4


async def test_tasks_take_requests_in_turn_from_the_start_again() -> None:
    asked: list[int] = []

    async def ask(number: int) -> None:
        asked.append(number)
        await asyncio.sleep(0)

    run = await in_tasks(3, ask, clients=2, seconds=0.01, client="tasks")
    assert asked[:6] == [0, 1, 2, 0, 1, 2]
    assert len(run.milliseconds) == len(asked)


async def test_the_client_reads_answers_and_refuses_errors() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status, body in ((b"200 OK", b"{}"), (b"429 Too Many Requests", b"full")):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.rpartition(b"Length: ")[2]))
            writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Connection("127.0.0.1", port) as connection:
        assert await connection.ask(render("m", ["one"], "host")) == b"{}"
        with pytest.raises(Refused, match="429 Too Many Requests: full"):
            await connection.ask(render("m", ["one", "two"], "host"))


def test_a_worker_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    start = Start("nobody", Settings("m", str(tmp_path), None, (0,), 256), str(tmp_path / "none.json"))
    with pytest.raises(Died, match=r"nobody ended: .*KeyError"):
        Process(start, tmp_path / "log")


def test_cpu_time_is_read() -> None:
    assert busy_seconds((0,)) > 0
    assert math.isfinite(used_seconds(1))
