from __future__ import annotations

import asyncio
import threading

import pytest
from tests.store.world import MB, Fake, World, apart, until, use

from textmill.errors import LoadFailed, ModelBroken, ModelNotFound, Unavailable
from textmill.store.keeper import Slot
from textmill.store.shelf import Limits


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


async def test_when_a_model_leaves_is_known(world: World) -> None:
    keeper = world.keeper(Limits(idle_s=60))
    keeper.add(world.slot("a"))
    keeper.add(world.slot("b", pinned=True))
    await use(keeper, "a")
    world.now += 20
    assert (keeper.leaves_in("a"), keeper.leaves_in("b")) == (40, None)
    async with keeper.lease("a"):
        assert keeper.leaves_in("a") == 60
    world.now += 100
    assert keeper.leaves_in("a") == 0
    forever = world.keeper(Limits())
    forever.add(world.slot("a"))
    await use(forever, "a")
    assert forever.leaves_in("a") is None


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


@pytest.mark.parametrize("limits", [Limits(), Limits(memory=1000 * MB)])
async def test_what_loads_beside_others_neither_holds_them_up_nor_waits_for_them(world: World, limits: Limits) -> None:
    keeper, hung, loads = world.keeper(limits), threading.Event(), list[str]()

    def hangs(name: str) -> Slot[Fake]:
        def load() -> Fake:
            loads.append(name)
            assert hung.wait(10)
            return Fake(world, name)

        return Slot(name=name, load=load, beside=True)

    for name in "xyz":
        keeper.add(hangs(name))
    keeper.add(world.slot("a"))
    waiting = [apart(use(keeper, name)) for name in "xyz"]
    await until(lambda: sorted(loads) == ["x", "y", "z"])
    assert await use(keeper, "a") == "a"
    hung.set()
    assert await asyncio.gather(*waiting) == ["x", "y", "z"]
