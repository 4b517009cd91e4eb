from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

import pytest

from textmill.errors import LoadFailed, ModelBroken, ModelNotFound, Overloaded, Unavailable
from textmill.store.keeper import Keeper, Slot
from textmill.store.shelf import Limits

MB = 10**6
T = TypeVar("T")


class Fake:
    """A model that takes memory of a `World` until it is closed."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.closed = world, name, False
        world.used += world.each
        world.alive.append(name)

    def close(self, drain_s: float = 10.0) -> None:
        del drain_s
        assert not self.closed
        self.closed = True
        self.world.used -= self.world.each
        self.world.alive.remove(self.name)


class World:
    """Memory, time, and what is loaded."""

    def __init__(self) -> None:
        self.used, self.each, self.now = 0, 10 * MB, 0.0
        self.alive: list[str] = []
        self.loads: list[str] = []
        self.most = 0
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def keeper(self, limits: Limits | None = None, **options: object) -> Keeper[Fake]:
        return Keeper(limits or Limits(), measure=lambda: self.used, clock=lambda: self.now, **options)  # type: ignore[arg-type]

    def slot(self, name: str, *, pinned: bool = False, **more: Any) -> Slot[Fake]:
        def load() -> Fake:
            self.loads.append(name)
            assert self.gate.wait(10)
            if self.error is not None:
                raise self.error
            made = Fake(self, name)
            self.most = max(self.most, len(self.alive))
            return made

        return Slot(name=name, load=load, pinned=pinned, need=self.each, **more)


@pytest.fixture
def world() -> World:
    return World()


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError


def apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Another request's work: it holds nothing yet."""
    return asyncio.create_task(work, context=Context())


async def use(keeper: Keeper[Fake], name: str) -> str:
    async with keeper.lease(name) as model:
        assert not model.closed
        return model.name


async def test_requests_that_come_together_share_one_load(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    world.gate.clear()
    waiting = [asyncio.create_task(use(keeper, "a")) for _ in range(10)]
    await until(lambda: world.loads == ["a"])
    waiting[0].cancel()  # one who leaves does not end it for the others
    world.gate.set()
    assert (await asyncio.gather(*waiting, return_exceptions=True))[1:] == ["a"] * 9
    assert world.loads == ["a"]


async def test_a_name_that_is_not_known_is_not_found(world: World) -> None:
    with pytest.raises(ModelNotFound):
        await use(world.keeper(), "a")


async def test_a_failed_load_says_why_and_is_not_tried_again_for_a_while(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    world.error = ModelBroken("model.safetensors is cut off")
    answers = await asyncio.gather(*(use(keeper, "a") for _ in range(3)), return_exceptions=True)
    for error in answers:
        assert isinstance(error, LoadFailed)
        assert "model.safetensors is cut off" in str(error)
        assert error.retry_after == 10
    world.error, world.now = None, 9.0
    with pytest.raises(LoadFailed, match="is cut off") as caught:
        await use(keeper, "a")
    assert caught.value.retry_after == 1
    assert world.loads == ["a"]
    world.now = 10.0
    assert await use(keeper, "a") == "a"
    world.now = 11.0
    assert await keeper.unload("a")
    assert await use(keeper, "a") == "a"


async def test_a_bug_in_a_load_is_for_the_log_and_rests_as_any_failure(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    world.error = OSError(5, "I/O error", "/srv/secret/model.safetensors")
    for _ in range(2):
        with pytest.raises(LoadFailed, match="internal error; the server's log has the details") as caught:
            await use(keeper, "a")
        assert caught.value.retry_after == 10
    assert world.loads == ["a"]
    assert "/srv/secret/model.safetensors" in caplog.text
    world.error, world.now = None, 10.0
    assert await use(keeper, "a") == "a"


async def test_the_least_recently_used_leaves_when_the_places_are_taken(world: World) -> None:
    keeper = world.keeper(Limits(loaded=2))
    for name in "abc":
        keeper.add(world.slot(name))
    for now, name in enumerate("abac"):
        world.now = now
        await use(keeper, name)
    assert sorted(world.alive) == ["a", "c"]
    assert world.most == 2


async def test_a_busy_model_stays_until_it_is_free_and_newcomers_wait_for_it_to_come_back(world: World) -> None:
    keeper = world.keeper(Limits(loaded=1))
    keeper.add(world.slot("a"))
    keeper.add(world.slot("b"))
    async with keeper.lease("a") as model:
        other = apart(use(keeper, "b"))
        await asyncio.sleep(0.01)
        again = apart(use(keeper, "a"))
        await asyncio.sleep(0.01)
        assert not model.closed
        assert not other.done()
        assert not again.done()
    assert await other == "b"
    assert await again == "a"
    assert world.most == 1


async def test_a_load_without_room_is_refused_after_a_while_and_harms_nobody(world: World) -> None:
    keeper = world.keeper(Limits(loaded=1, patience_s=0.0))
    keeper.add(world.slot("a"))
    keeper.add(world.slot("b"))
    async with keeper.lease("a"):
        with pytest.raises(LoadFailed, match="no room for b") as caught:
            await use(keeper, "b")
        assert caught.value.retry_after == 1
    assert await use(keeper, "a") == "a"
    assert await use(keeper, "b") == "b"


async def test_what_cannot_fit_is_refused_before_anything_leaves_for_it(world: World) -> None:
    keeper = world.keeper(Limits(memory=25 * MB))
    keeper.add(world.slot("pinned", pinned=True))
    await use(keeper, "pinned")
    large = world.slot("large")
    large.need = 20 * MB
    keeper.add(large)
    with pytest.raises(LoadFailed, match="needs about 20 MB, and the process uses 10 MB of the 25 MB") as caught:
        await use(keeper, "large")
    assert caught.value.retry_after == 10
    assert world.alive == ["pinned"]
    assert world.loads == ["pinned"]


async def test_the_memory_limit_holds_for_many_models_and_callers(world: World) -> None:
    keeper = world.keeper(Limits(memory=55 * MB))
    names = [f"m{i}" for i in range(20)]
    for name in names:
        keeper.add(world.slot(name))

    async def caller(offset: int) -> None:
        for step in range(25):
            name = names[(offset * 7 + step * 3) % 20]
            async with keeper.lease(name) as model:
                assert model.name == name
                await asyncio.sleep(0)
                assert not model.closed

    await asyncio.gather(*(caller(i) for i in range(16)))
    assert world.most <= 5


async def test_a_model_that_is_replaced_answers_what_it_has_and_then_leaves(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    async with keeper.lease("a") as before:
        keeper.add(world.slot("a"))
        async with keeper.lease("a") as after:
            assert after is not before
            assert not before.closed
    await until(lambda: before.closed)
    assert not after.closed
    keeper.forget("a")
    await until(lambda: after.closed)
    with pytest.raises(ModelNotFound):
        await use(keeper, "a")


async def test_a_model_that_is_replaced_while_it_loads_leaves_too(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    world.gate.clear()
    waiting = asyncio.create_task(use(keeper, "a"))
    await until(lambda: world.loads == ["a"])
    keeper.add(world.slot("a"))
    world.gate.set()
    assert await waiting == "a"
    await until(lambda: world.alive == [])
    assert await use(keeper, "a") == "a"
    assert world.loads == ["a", "a"]


async def test_unloading_waits_for_who_uses_it_and_gives_up_in_time(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    assert not await keeper.unload("a")
    async with keeper.lease("a"):
        with pytest.raises(Unavailable, match="still busy"):
            await keeper.unload("a", 0.0)
        assert await use(keeper, "a") == "a"
    assert await keeper.unload("a")
    assert world.alive == []
    assert world.used == 0


async def test_idle_models_leave_and_come_back(world: World) -> None:
    asleep = asyncio.Event()

    async def sleep(_: float) -> None:
        await asleep.wait()
        asleep.clear()

    keeper = world.keeper(Limits(idle_s=60), sleep=sleep)
    keeper.add(world.slot("a"))
    keeper.add(world.slot("b", pinned=True))
    await use(keeper, "a")
    await use(keeper, "b")
    looking = asyncio.create_task(keeper.run())
    world.now = 61.0
    asleep.set()
    await until(lambda: world.alive == ["b"])
    assert await use(keeper, "a") == "a"
    looking.cancel()


async def test_who_leaves_while_a_model_unloads_leaves_nothing_halfway(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    async with keeper.lease("a"):
        unloading = asyncio.create_task(keeper.unload("a"))
        await asyncio.sleep(0.01)
        unloading.cancel()
        await asyncio.sleep(0.01)
    await until(lambda: world.alive == [])
    assert await asyncio.wait_for(use(keeper, "a"), 5) == "a"


async def test_a_model_that_is_asked_for_while_another_idle_one_leaves_stays(world: World) -> None:
    asleep, closing = asyncio.Event(), threading.Event()

    async def sleep(_: float) -> None:
        await asleep.wait()
        asleep.clear()

    keeper = world.keeper(Limits(idle_s=60), sleep=sleep, trim=lambda: closing.wait(10))
    keeper.add(world.slot("a"))
    keeper.add(world.slot("b"))
    await use(keeper, "a")
    await use(keeper, "b")
    looking = asyncio.create_task(keeper.run())
    world.now = 61.0
    asleep.set()
    await until(lambda: world.alive == ["b"])
    async with keeper.lease("b") as model:
        closing.set()
        await asyncio.sleep(0.05)
        assert not model.closed
    looking.cancel()


async def test_closed_it_leases_and_loads_nothing(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    keeper.add(world.slot("b"))
    await use(keeper, "a")
    world.gate.clear()
    waiting = asyncio.create_task(use(keeper, "b"))
    await until(lambda: world.loads == ["a", "b"])
    [model] = keeper.close()
    model.close()
    with pytest.raises(Unavailable):
        await use(keeper, "a")
    world.gate.set()
    with pytest.raises(Unavailable):
        await waiting
    assert world.alive == []


async def test_a_model_takes_as_many_requests_at_once_as_its_file_allows(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a", most=2, retry_after=7.0))
    async with keeper.lease("a"), keeper.lease("a"):
        with pytest.raises(Overloaded, match="a takes 2 requests at once") as caught:
            await apart(use(keeper, "a"))
        assert caught.value.retry_after == 7.0
    assert await use(keeper, "a") == "a"


async def test_of_a_group_one_model_is_loaded_and_the_others_give_way(world: World) -> None:
    keeper = world.keeper()
    for name in "abc":
        keeper.add(world.slot(name, groups=frozenset({"gpu"})))
    keeper.add(world.slot("stays", pinned=True, groups=frozenset({"big"})))
    keeper.add(world.slot("d", groups=frozenset({"big"})))
    await asyncio.gather(*(use(keeper, name) for name in "abcabc"))
    assert world.most == 1
    await use(keeper, "stays")
    with pytest.raises(LoadFailed, match="d cannot be loaded beside stays, which stays: both are in the group big"):
        await use(keeper, "d")
    assert "stays" in world.alive


def test_a_load_at_the_start_that_fails_can_be_had_later(world: World) -> None:
    keeper = world.keeper(Limits(loaded=1))
    slot = world.slot("a")
    keeper.add(slot)
    world.error = ModelBroken("cut off")
    with pytest.raises(ModelBroken):
        keeper.load_now(slot)
    world.error = None
    keeper.load_now(slot)
    keeper.load_now(slot)
    assert world.alive == ["a"]


async def test_what_is_far_too_large_costs_nobody_a_model(world: World) -> None:
    keeper = world.keeper(Limits(memory=50 * MB))
    for name in "abc":
        keeper.add(world.slot(name))
        await use(keeper, name)
    large = world.slot("large")
    large.need = 1000 * MB
    keeper.add(large)
    with pytest.raises(LoadFailed, match="needs about 1000 MB") as caught:
        await use(keeper, "large")
    assert caught.value.retry_after is None
    assert world.alive == ["a", "b", "c"]


async def test_a_model_that_was_to_leave_stays_when_room_comes_from_elsewhere(world: World) -> None:
    keeper = world.keeper(Limits(loaded=2))
    for name in "abc":
        keeper.add(world.slot(name))
    async with keeper.lease("a"), keeper.lease("b"):
        load = apart(use(keeper, "c"))
        await until(lambda: any(slot.leaving for slot in keeper.slots()))
        keeper.forget("b")
    assert await load == "c"
    assert not any(slot.leaving for slot in keeper.slots())
    assert await asyncio.wait_for(use(keeper, "a"), 5) == "a"


async def test_a_load_takes_the_model_that_is_idle_first_and_lets_the_other_be(world: World) -> None:
    keeper = world.keeper(Limits(loaded=2))
    for name in "abc":
        keeper.add(world.slot(name))
    async with keeper.lease("a"):
        async with keeper.lease("b"):
            load = apart(use(keeper, "c"))
            await until(lambda: any(slot.leaving for slot in keeper.slots()))
        assert await asyncio.wait_for(load, 5) == "c"
        assert await asyncio.wait_for(apart(use(keeper, "a")), 5) == "a"
    assert world.loads == ["a", "b", "c"]


async def test_a_replaced_model_that_waits_in_line_is_not_waited_for(world: World) -> None:
    keeper = world.keeper(Limits(memory=15 * MB))
    for name in "axy":
        keeper.add(world.slot(name))
    await use(keeper, "a")
    first, second = apart(use(keeper, "x")), apart(use(keeper, "y"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    keeper.add(world.slot("y"))
    assert [await asyncio.wait_for(each, 5) for each in (first, second)] == ["x", "y"]


async def test_a_request_may_hold_its_model_once_more_while_a_load_waits_for_it(world: World) -> None:
    keeper = world.keeper(Limits(loaded=1))
    keeper.add(world.slot("a", most=1))
    keeper.add(world.slot("b"))
    async with keeper.lease("a"):
        other = apart(use(keeper, "b"))
        await until(lambda: any(slot.leaving for slot in keeper.slots()))
        assert await asyncio.wait_for(use(keeper, "a"), 5) == "a"
        assert await asyncio.wait_for(asyncio.create_task(use(keeper, "a")), 5) == "a"  # a part of the same request
        assert not other.done()
    assert await other == "b"


async def test_a_lease_may_end_in_another_task_than_it_began_in(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    async with contextlib.AsyncExitStack() as held:
        await asyncio.create_task(held.enter_async_context(keeper.lease("a")))
    assert [slot.leases for slot in keeper.slots()] == [0]


async def test_what_is_to_be_loaded_is_brought_here_without_holding_up_other_loads(world: World) -> None:
    keeper = world.keeper(Limits(memory=35 * MB))
    arrived = threading.Event()

    def fetch() -> int:
        assert arrived.wait(10)
        return 30 * MB

    slow = world.slot("slow", prepare=fetch)
    slow.need = 0
    keeper.add(slow)
    keeper.add(world.slot("quick"))
    load = apart(use(keeper, "slow"))
    await asyncio.sleep(0.01)
    assert await asyncio.wait_for(apart(use(keeper, "quick")), 5) == "quick"
    arrived.set()
    assert await load == "slow"
    assert world.alive == ["slow"]  # it needed room for what it said only then


async def test_unloading_a_model_that_loads_gives_up_in_time_too(world: World) -> None:
    keeper = world.keeper()
    keeper.add(world.slot("a"))
    world.gate.clear()
    load = apart(use(keeper, "a"))
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable, match="a is still busy"):
        await keeper.unload("a", wait_s=0.0)
    assert keeper.loading
    world.gate.set()
    assert await load == "a"
    assert not keeper.loading
    assert await use(keeper, "a") == "a"


async def test_a_model_that_cannot_be_closed_is_in_nobodys_way(world: World) -> None:
    keeper = world.keeper(Limits(loaded=1))
    keeper.add(world.slot("a"))
    keeper.add(world.slot("b"))
    async with keeper.lease("a") as model:
        model.closed = True  # closing it once more fails
    keeper.add(world.slot("a"))
    assert await asyncio.wait_for(use(keeper, "b"), 5) == "b"
    assert await asyncio.wait_for(use(keeper, "a"), 5) == "a"


async def test_idle_time_counts_from_the_end_of_a_load_at_the_start(world: World) -> None:
    keeper = world.keeper(Limits(idle_s=60))
    slot = world.slot("a")
    keeper.add(slot)
    world.now = 100.0
    keeper.load_now(slot)
    assert slot.used == 100.0


@pytest.mark.parametrize("limits", [Limits(loaded=3), Limits(memory=35 * MB), Limits(loaded=3, idle_s=0.0)])
async def test_whatever_comes_together_no_wrong_model_answers_and_nothing_is_left_behind(
    world: World, limits: Limits
) -> None:
    dice = random.Random(7)  # noqa: S311 - the same each time

    async def tick(_: float) -> None:
        await asyncio.sleep(0.001)

    keeper = world.keeper(limits, sleep=tick)
    names = "abcdefgh"
    for name in names:
        keeper.add(world.slot(name, groups=frozenset(dice.choices("xyz", k=dice.randrange(2)))))
    running = asyncio.create_task(keeper.run())

    async def ask(name: str) -> None:
        async with keeper.lease(name) as model:
            await asyncio.sleep(dice.random() / 500)
            assert not model.closed
            assert model.name == name

    async def disturb() -> None:
        name = dice.choice(names)
        if dice.random() < 0.5:
            keeper.add(world.slot(name))
        else:
            with contextlib.suppress(Unavailable):
                await keeper.unload(name, wait_s=5.0)

    asked = [apart(ask(dice.choice(names))) for _ in range(300)]
    disturbed = [apart(disturb()) for _ in range(20)]
    for task in dice.sample(asked, 60):
        await asyncio.sleep(0)
        task.cancel()
    done = await asyncio.wait_for(asyncio.gather(*asked, *disturbed, return_exceptions=True), 60)
    assert [each for each in done if isinstance(each, Exception)] == []
    await until(lambda: not keeper.loading and not any(slot.leaving for slot in keeper.slots()))
    assert world.most <= 3
    assert sum(slot.leases for slot in keeper.slots()) == 0
    running.cancel()
