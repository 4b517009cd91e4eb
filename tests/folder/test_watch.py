from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from textmill.folder.scan import scan
from textmill.folder.snapshot import Snapshot, Stamp, take_snapshot
from textmill.folder.watch import Changes, Look, Watched, changes, step, watch


def seen(**sizes: int) -> Snapshot:
    return {name: Stamp(name, 0, size, 0) for name, size in sizes.items()}


def looks(begin: Snapshot, *snapshots: Snapshot) -> list[Look]:
    watched, found = Watched.begin(begin), []
    for snapshot in snapshots:
        watched, look = step(watched, snapshot)
        found.append(look)
    return found


def told(looked: list[Look]) -> list[Changes]:
    return [look.changes for look in looked]


def test_changes_between_two_states() -> None:
    before: Mapping[str, int] = {"a": 1, "b": 2, "c": 3}

    found = changes(before, {"b": 2, "c": 4, "e": 5, "d": 6})

    assert found == Changes(added=("d", "e"), changed=("c",), removed=("a",))
    assert found
    assert not changes(before, dict(before))


def test_a_new_file_counts_once_it_stands_still() -> None:
    found = looks({}, seen(a=1), seen(a=2), seen(a=2), seen(a=2))

    assert told(found) == [Changes(), Changes(), Changes(added=("a",)), Changes()]
    assert [look.moving for look in found] == [{"a"}, {"a"}, set(), set()]


def test_a_file_that_changes_is_what_it_was_until_it_stands_still() -> None:
    found = looks(seen(a=1, b=1), seen(a=2, b=1), seen(a=3, b=2), seen(a=3, b=2))

    assert told(found) == [Changes(), Changes(), Changes(changed=("a", "b"))]


def test_a_slow_download_holds_up_no_other_file() -> None:
    found = looks(seen(), seen(big=1), seen(big=2, a=1), seen(big=3, a=1), seen(big=4, a=1))

    assert told(found) == [Changes(), Changes(), Changes(added=("a",)), Changes()]
    assert all("big" in look.moving for look in found)


def test_a_file_that_is_gone_for_a_moment_is_not_gone() -> None:
    assert told(looks(seen(a=1), seen(), seen(a=2), seen(a=2))) == [Changes(), Changes(), Changes(changed=("a",))]
    assert told(looks(seen(a=1), seen(), seen())) == [Changes(), Changes(removed=("a",))]
    assert told(looks(seen(a=1), seen(a=2), seen(a=1), seen(a=1))) == [Changes(), Changes(), Changes()]
    assert told(looks(seen(), seen(a=1), seen(), seen())) == [Changes(), Changes(), Changes()]


async def test_the_loop_sleeps_looks_and_tells_what_counts() -> None:
    slept: list[float] = []
    snapshots = iter([seen(), seen(a=1), seen(a=1), seen(a=1), seen(a=2), seen(a=2)])

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    found = []
    async for look in watch(lambda: next(snapshots), {}, sleep=sleep, interval=0.5):
        found.append(look.changes)
        if len(found) == 2:
            break

    assert found == [Changes(added=("a",)), Changes(changed=("a",))]
    assert slept == [0.5] * 6


async def test_a_folder_over_time(models: Path) -> None:
    """As a server does it: a snapshot, a scan, and a new scan for each look that finds something."""
    file = models / "a.yaml"
    texts = iter(["{name: m, par", "{name: m, parameters: {model: o/n}}", None, "{name: m, model: o/other}", None])

    async def sleep(_: float) -> None:
        text = next(texts)
        if text is not None:
            file.write_text(text)

    folder = scan(models)
    seen: list[Changes] = []
    async for look in watch(lambda: take_snapshot(models), take_snapshot(models), sleep=sleep):
        after = scan(models, before=folder, moving=look.moving)
        assert after.problems == ()
        seen.append(changes(folder.by_name, after.by_name))
        folder = after
        if len(seen) == 2:
            break

    assert seen == [Changes(added=("m",)), Changes(changed=("m",))]


async def test_a_look_counts_without_a_change_where_it_is_to_be_done_again() -> None:
    async def sleep(_: float) -> None:
        pass

    async for look in watch(dict, {}, sleep=sleep, again=lambda: True):
        assert not look.changes
        return


def test_what_is_said_to_be_whole_is_taken_at_once() -> None:
    new = {name: Stamp(name, 1, 1, 1) for name in ("a.yaml", "folder/x", "folderx", "b.yaml")}
    watched, look = step(Watched.begin({}), new, ["a.yaml", "folder"])
    assert look.changes.added == ("a.yaml", "folder/x")
    assert look.moving == {"b.yaml", "folderx"}
    watched, look = step(watched, new)
    assert look.changes.added == ("b.yaml", "folderx")
    _, look = step(watched, {}, ["a.yaml"])
    assert look.changes.removed == ("a.yaml",)
