# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a pam_pkcs11.conf says of a card that is not there keeps its meaning; a stacked password needs the PAM line."""

from __future__ import annotations

import pytest

from tests.unit.config.peer_files import DIFFERENT, SILENT, peer, said, translated


@pytest.mark.parametrize("name", ["try_first_pass", "use_first_pass"])
def test_a_stacked_password_needs_the_word_on_the_pam_line(name: str) -> None:
    translation = translated(peer(whole=f"{name} = yes;"))
    ((_line, key, kind, text),) = said(translation)
    assert (key, kind) == (name, DIFFERENT)
    assert text.endswith(f"write {name} on the PAM line")
    assert "pin" not in translation.tree


def test_a_file_without_card_only_says_nothing_of_a_card_that_is_not_there() -> None:
    for whole in ("", "wait_for_card = true;", "screen_savers = vlock;", "card_only = false; wait_for_card = true;"):
        tree = translated(peer(whole=whole)).tree
        assert tree["texts"] == SILENT
        assert not {"wait", "unlock", "service"} & set(tree)
    assert "texts" not in translated(peer(whole="card = required;")).tree
    assert translated(peer(whole="card = optional;")).tree["texts"] == SILENT


def test_with_card_only_the_person_reads_of_a_card_that_is_not_there() -> None:
    translation = translated(peer(whole="card_only = true;"))
    assert not {"texts", "wait", "unlock", "service"} & set(translation.tree)
    ((_line, key, kind, _text),) = said(translation)
    assert (key, kind) == ("card_only", DIFFERENT)


@pytest.mark.parametrize(("ours", "wait"), [("", 170), ("wait = 30;", 30), ("wait = 0;", 0)])
def test_a_card_is_waited_for_but_not_for_ever(ours: str, wait: int) -> None:
    translation = translated(peer(whole=f"card_only = true; wait_for_card = true; {ours}"))
    assert translation.tree["wait"] == wait
    assert [(kind, text) for _line, key, kind, text in said(translation) if key == "wait_for_card"] == [
        (DIFFERENT, f"a card is waited for, for {wait} seconds at most; pam_pkcs11 waits for ever")
    ]


def test_a_screen_saver_unlocks_with_the_card_of_the_session_and_waits_for_it() -> None:
    translation = translated(peer(whole="card_only = true; screen_savers = vlock, xscreensaver, VLOCK;"))
    assert translation.tree["unlock"] == {
        "services": ["vlock", "xscreensaver"], "same_card": True, "otherwise": "ignore",
    }  # fmt: skip
    assert translation.tree["service"] == {"vlock": {"wait": 170}, "xscreensaver": {"wait": 170}}
    assert "wait" not in translation.tree
    assert [(key, kind) for _line, key, kind, _text in said(translation)] == [
        ("card_only", DIFFERENT), ("screen_savers", DIFFERENT),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "unlock"),
    [
        ("same_card = false;", {"services": ["vlock"], "same_card": False, "otherwise": "ignore"}),
        ("otherwise = card;", {"services": ["vlock"], "same_card": True, "otherwise": "card"}),
    ],
)
def test_keys_of_ours_change_what_a_screen_saver_does(more: str, unlock: dict[str, object]) -> None:
    tree = translated(peer(whole=f"card_only = true; screen_savers = vlock; wait_for_card = true; {more}")).tree
    assert tree["unlock"] == unlock
    assert (tree["wait"], "service" in tree) == (170, False)
