from __future__ import annotations

from pathlib import Path

from textmill.providers.llamacpp.room import Room


def test_a_room_is_private(tmp_path: Path) -> None:
    room = Room(tmp_path)

    assert room.path.stat().st_mode & 0o777 == 0o700
    assert room.socket.suffix == ".sock"  # by which llama.cpp knows it
    room.close()
    room.close()
    assert not list(tmp_path.iterdir())


def test_left_rooms_go(tmp_path: Path) -> None:
    held = Room(tmp_path)
    left = tmp_path / "textmill-llama-left"
    left.mkdir()
    (left / "in-use").touch()
    (left / "m.sock").touch()
    new = tmp_path / "textmill-llama-new"
    new.mkdir()

    again = Room(tmp_path)

    assert (held.path.exists(), left.exists(), new.exists()) == (True, False, True)
    held.close()
    again.close()


def test_a_long_place_is_left_for_a_short_one(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 100)
    place.mkdir()

    room = Room(place)

    assert len(str(room.socket)) < 104
    room.close()
