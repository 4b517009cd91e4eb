"""Values in memory stay within their limit, and the least recently used leave."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from textmill.cache.memory import Memory
from textmill.contract import TierReport

SIZE = 250
"""An entry takes twice as much."""


def value(number: int) -> bytes:
    return number.to_bytes(SIZE, "little")


def test_the_least_recently_used_leave() -> None:
    memory = Memory(3 * 2 * SIZE)
    memory.keep((f"{n}".encode(), value(n)) for n in range(3))
    assert memory.find([b"0"]) == [value(0)]
    memory.keep([(b"3", value(3))])
    assert memory.find([b"0", b"1", b"2", b"3"]) == [value(0), None, value(2), value(3)]
    assert memory.report() == TierReport(entries=3, size=3 * 2 * SIZE, evictions=1)


def test_the_first_value_of_a_key_stays() -> None:
    memory = Memory(1 << 20)
    memory.keep([(b"key", b"first"), (b"key", b"second")])
    memory.keep([(b"key", b"third")])
    assert memory.find([b"key"]) == [b"first"]
    assert memory.report().entries == 1


def test_what_is_larger_than_the_limit_is_not_kept() -> None:
    memory = Memory(SIZE)
    memory.keep([(b"key", value(1))])
    assert memory.find([b"key"]) == [None]
    assert memory.report().size == 0


def test_threads_may_use_it_at_once() -> None:
    memory = Memory(40 * 2 * SIZE)

    def use(start: int) -> None:
        for number in range(start, start + 200):
            memory.keep([(str(number).encode(), value(number))])
            assert memory.find([str(number).encode()]) in ([value(number)], [None])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(0, 400, 100)))
    report = memory.report()
    assert (report.entries, report.size) == (40, 40 * 2 * SIZE)
