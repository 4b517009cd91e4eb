from __future__ import annotations

import asyncio
import contextlib
import random
import threading

import pytest
from tests.store.world import MB, World, apart, until, use

from textmill.errors import LoadFailed, ModelBroken, Overloaded, Unavailable
from textmill.store.shelf import Limits


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
