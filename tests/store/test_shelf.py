from __future__ import annotations

import pytest

from textmill.store.shelf import Limits, Place, cooldown, room_for, stale

MB = 1 << 20


def loaded(used: float, **changes: object) -> Place:
    place = Place(loaded=True, need=10 * MB, used=used)
    for name, value in changes.items():
        setattr(place, name, value)
    return place


NEW = Place(need=10 * MB)


def test_without_limits_everything_fits() -> None:
    assert room_for(NEW, [NEW, *(loaded(i) for i in range(100))], 1 << 50, Limits()).fits


def test_the_least_recently_used_goes_first() -> None:
    old, older = loaded(2), loaded(1)
    assert room_for(NEW, [NEW, old, older], 0, Limits(loaded=2)).evict is older
    assert room_for(NEW, [NEW, old, older], 0, Limits(loaded=3)).fits


def test_memory_counts_what_the_process_uses_and_what_is_being_loaded() -> None:
    limits = Limits(memory=100 * MB)
    assert room_for(NEW, [NEW], 90 * MB, limits).fits
    assert room_for(NEW, [NEW, loaded(1)], 91 * MB, limits).evict is not None
    loading = Place(need=10 * MB, loading=True)
    assert room_for(NEW, [NEW, loading], 80 * MB, limits).fits
    assert room_for(NEW, [NEW, loading], 81 * MB, limits).wait


def test_pinned_models_stay_and_busy_ones_are_asked_last() -> None:
    busy, pinned, idle = loaded(1, leases=1), loaded(0, pinned=True), loaded(5)
    limits = Limits(loaded=3)
    assert room_for(NEW, [NEW, busy, pinned, idle], 0, limits).evict is idle
    assert room_for(NEW, [NEW, busy, pinned, loaded(6, leases=1)], 0, limits).want is busy
    assert room_for(NEW, [NEW, pinned, pinned, pinned], 0, limits).never


def test_while_memory_is_on_its_way_nobody_else_has_to_leave() -> None:
    limits = Limits(loaded=2)
    for going in (loaded(1, closing=True), loaded(1, retired=True), loaded(1, wanted=1)):
        assert room_for(NEW, [NEW, going, loaded(2)], 0, limits).wait


def test_nobody_waits_for_a_busy_model_while_another_is_idle() -> None:
    limits = Limits(loaded=2)
    busy, idle, other = loaded(1, leases=1, wanted=1), loaded(2), loaded(2, leases=1)
    assert room_for(NEW, [NEW, busy, idle], 0, limits).evict is idle
    assert room_for(NEW, [NEW, busy, other], 0, limits).wait  # one that is asked to leave is enough


def test_one_that_leaves_but_is_not_loaded_brings_no_memory() -> None:
    queued = Place(need=10 * MB, leases=1, retired=True)
    idle = loaded(1)
    assert room_for(NEW, [NEW, queued, idle], 0, Limits(loaded=1)).evict is idle


def test_what_cannot_fit_even_if_all_left_is_refused_before_anyone_does() -> None:
    limits = Limits(memory=100 * MB)
    assert room_for(Place(need=101 * MB), [loaded(1)], 10 * MB, limits).never
    assert room_for(Place(need=90 * MB), [loaded(1)], 25 * MB, limits).never  # 15 MB are the process's own
    assert room_for(Place(need=80 * MB), [loaded(1)], 25 * MB, limits).evict is not None
    assert room_for(Place(need=80 * MB), [loaded(1, pinned=True)], 25 * MB, limits).never
    assert room_for(NEW, [loaded(1, pinned=True), loaded(2)], 0, Limits(loaded=1)).never


def test_models_of_one_group_are_not_loaded_together() -> None:
    gpu = frozenset({"gpu"})
    new, rival, other = Place(groups=gpu | {"more"}), loaded(5, groups=gpu), loaded(1, groups=frozenset({"cpu"}))
    assert room_for(new, [new, rival, other], 0, Limits()).evict is rival
    assert room_for(new, [new, Place(groups=gpu), other], 0, Limits()).fits
    assert room_for(new, [new, Place(groups=gpu, loading=True), other], 0, Limits()).wait
    assert room_for(new, [new, loaded(5, groups=gpu, closing=True), other], 0, Limits()).wait
    assert room_for(new, [new, loaded(5, groups=gpu, pinned=True), other], 0, Limits()).never


def test_what_is_too_large_by_itself_never_fits() -> None:
    assert room_for(Place(need=101 * MB), [], 0, Limits(memory=100 * MB)).never


def test_idle_models_are_those_that_may_go_and_were_not_asked_for_long_enough() -> None:
    idle = loaded(10)
    others = [loaded(11), loaded(0, pinned=True), loaded(0, leases=1), loaded(0, wanted=1), Place()]
    assert stale([idle, *others], 20, Limits(idle_s=10)) == [idle]
    assert stale([idle], 1e9, Limits()) == []


@pytest.mark.parametrize(("failures", "seconds"), [(1, 10), (2, 20), (5, 160), (6, 300), (60, 300)])
def test_each_failure_doubles_the_pause(failures: int, seconds: float) -> None:
    assert cooldown(failures) == seconds
