"""What somebody wants, and how it is named without its secrets."""

from __future__ import annotations

import pytest

from textmill.errors import InvalidInput
from textmill.gallery.access import Access
from textmill.gallery.wish import Wish, entry_of, wish_for


@pytest.mark.parametrize(
    "wish", [Wish(id="https://u:s3cret@h/x"), Wish(delete="https://u:s3cret@h/x"), Wish(uri="u:s3cret@h/x")]
)
def test_a_title_has_no_secret(wish: Wish) -> None:
    assert wish.title.endswith("h/x")
    assert "s3cret" not in wish.title


@pytest.mark.parametrize("name", ["bert", "localai@bert", "owner/repo__x"])
def test_a_name_of_a_gallery_is_its_title(name: str) -> None:
    assert Wish(id=name).checked().title == name


def test_an_address_is_no_id_and_the_error_does_not_repeat_it() -> None:
    with pytest.raises(InvalidInput, match=r"^id is an address") as caught:
        Wish(id="https://u:s3cret@h/x").checked()

    assert caught.value.param == "id"


def test_errors_about_addresses_leave_out_their_queries() -> None:
    with pytest.raises(InvalidInput, match=r"^https://h/ names no file$"):
        entry_of("https://h/?token=s3cret", Access())
    with pytest.raises(InvalidInput, match=r"^https://h/m.yaml is not one file"):
        wish_for("https://h/m.yaml?token=s3cret", Access(), sha256="0" * 64)
