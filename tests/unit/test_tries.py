# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong PINs that are counted here: how many are left to whom, side by side, and what happens where none can be counted."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pam_sc.decision.card_report import Failure, TokenRef, TokenReport
from pam_sc.decision.reasons import Reason
from pam_sc.record import replace
from pam_sc.tries import CountedTries, UncountedTries, forget_all, make_folder, token_name

TOKEN = TokenReport(ref=TokenRef(0, 1), label="Card", manufacturer="Maker", model="Model", serial="1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tries"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def tries(folder: Path) -> CountedTries:
    return CountedTries("machine", 2, str(folder))


def reason(refused: Failure | None) -> Reason | None:
    return None if refused is None else refused.reason


def test_the_owner_has_all_tries_and_no_more(tries: CountedTries) -> None:
    assert [reason(tries.take(TOKEN, owner=True)) for _ in range(3)] == [None, None, Reason.PIN_TRIES_USED]
    assert reason(tries.look(TOKEN, owner=True)) is Reason.PIN_TRIES_USED


def test_a_stranger_leaves_one_to_the_owner(tries: CountedTries) -> None:
    assert [reason(tries.take(TOKEN, owner=False)) for _ in range(2)] == [None, Reason.PIN_TRIES_USED]
    assert tries.look(TOKEN, owner=True) is None
    assert tries.take(TOKEN, owner=True) is None


def test_a_stranger_gets_none_after_a_wrong_pin_of_the_owner(tries: CountedTries) -> None:
    assert tries.take(TOKEN, owner=True) is None
    assert reason(tries.look(TOKEN, owner=False)) is Reason.PIN_TRIES_USED
    assert reason(tries.take(TOKEN, owner=False)) is Reason.PIN_TRIES_USED


def test_with_one_try_a_stranger_has_none(folder: Path) -> None:
    one = CountedTries("machine", 1, str(folder))
    assert reason(one.take(TOKEN, owner=False)) is Reason.PIN_TRIES_USED
    assert one.take(TOKEN, owner=True) is None


def test_looking_takes_nothing_and_makes_nothing(tries: CountedTries, folder: Path) -> None:
    assert [tries.look(TOKEN, owner=True) for _ in range(5)] == [None] * 5
    assert list(folder.iterdir()) == []


def test_a_try_that_was_given_back_is_there_again(tries: CountedTries, folder: Path) -> None:
    for _ in range(5):
        assert tries.take(TOKEN, owner=True) is None
        tries.give_back(TOKEN)
    assert list(folder.iterdir()) == []


def test_giving_back_one_of_two_leaves_one(tries: CountedTries) -> None:
    tries.take(TOKEN, owner=True)
    tries.take(TOKEN, owner=True)
    tries.give_back(TOKEN)
    assert [reason(tries.take(TOKEN, owner=True)) for _ in range(2)] == [None, Reason.PIN_TRIES_USED]


def test_a_right_pin_clears_the_count(tries: CountedTries, folder: Path) -> None:
    tries.take(TOKEN, owner=True)
    tries.take(TOKEN, owner=True)
    tries.clear(TOKEN)
    assert tries.look(TOKEN, owner=True) is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("field", ["label", "manufacturer", "model", "serial"])
def test_each_token_has_a_count_of_its_own(tries: CountedTries, field: str) -> None:
    tries.take(TOKEN, owner=True)
    tries.take(TOKEN, owner=True)
    assert tries.look(replace(TOKEN, **{field: "other"}), owner=True) is None


def test_the_slot_is_no_matter(tries: CountedTries) -> None:
    tries.take(TOKEN, owner=True)
    tries.take(TOKEN, owner=True)
    assert reason(tries.look(replace(TOKEN, ref=TokenRef(1, 5)), owner=True)) is Reason.PIN_TRIES_USED


def test_a_token_is_known_by_a_hash_that_is_of_no_use_elsewhere() -> None:
    names = {token_name(TOKEN, machine) for machine in ("machine", "other")}
    names.add(token_name(replace(TOKEN, model="Model1", serial=""), "machine"))
    assert len(names) == 3
    assert all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in names)


def test_calls_side_by_side_cannot_overrun_the_limit(folder: Path) -> None:
    taken: list[Failure | None] = []
    starting = threading.Barrier(16)

    def take() -> None:
        counting = CountedTries("machine", 5, str(folder))
        starting.wait()
        taken.append(counting.take(TOKEN, owner=True))

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(None) == 5


def test_a_count_that_is_removed_while_another_waits_for_it_is_not_lost(folder: Path) -> None:
    """Whoever waits for the lock of a file that loses its name begins again with the file of that name."""
    rounds, made = 200, []

    def take_and_clear() -> None:
        counting = CountedTries("machine", 9999, str(folder))
        for _ in range(rounds):
            made.append(counting.take(TOKEN, owner=True))
            counting.give_back(TOKEN)

    threads = [threading.Thread(target=take_and_clear) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [None] * 4 * rounds
    assert list(folder.iterdir()) == [], "each try that was taken was given back to the same count"


# ---------------------------------------------------------------- where nothing can be counted


@pytest.mark.parametrize("content", [b"x", b"00001", b"-001", b"1\n"])
def test_a_count_that_is_no_number_refuses(tries: CountedTries, folder: Path, content: bytes) -> None:
    (folder / token_name(TOKEN, "machine")).write_bytes(content)
    assert reason(tries.look(TOKEN, owner=True)) is Reason.PIN_TRIES_UNCOUNTED
    assert reason(tries.take(TOKEN, owner=True)) is Reason.PIN_TRIES_UNCOUNTED


def test_a_missing_folder_refuses(tmp_path: Path) -> None:
    nowhere = CountedTries("machine", 2, str(tmp_path / "nowhere"))
    refused = nowhere.look(TOKEN, owner=True)
    assert reason(refused) is Reason.PIN_TRIES_UNCOUNTED
    assert refused is not None
    assert "does not exist" in refused.detail
    assert reason(nowhere.take(TOKEN, owner=True)) is Reason.PIN_TRIES_UNCOUNTED


@pytest.mark.parametrize("mode", [0o770, 0o701, 0o755])
def test_a_folder_that_others_can_use_refuses(tries: CountedTries, folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert reason(tries.take(TOKEN, owner=True)) is Reason.PIN_TRIES_UNCOUNTED


def test_a_folder_of_somebody_else_refuses(tries: CountedTries, folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(folder, 65534, 65534)
    assert reason(tries.take(TOKEN, owner=True)) is Reason.PIN_TRIES_UNCOUNTED


def test_a_link_in_place_of_the_folder_or_of_a_count_refuses(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    through = CountedTries("machine", 2, str(tmp_path / "link"))
    assert reason(through.take(TOKEN, owner=True)) is Reason.PIN_TRIES_UNCOUNTED
    (folder / token_name(TOKEN, "machine")).symlink_to(tmp_path / "elsewhere")
    assert reason(CountedTries("machine", 2, str(folder)).take(TOKEN, owner=True)) is Reason.PIN_TRIES_UNCOUNTED
    assert not (tmp_path / "elsewhere").exists()


def test_a_host_without_privilege_counts_nothing() -> None:
    tries = UncountedTries()
    assert [tries.take(TOKEN, owner=False) for _ in range(5)] == [None] * 5
    assert tries.look(TOKEN, owner=False) is None


# ---------------------------------------------------------------- the folder


def test_the_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "pam_sc" / "tries"
    make_folder(os.geteuid(), os.getegid(), str(folder))
    make_folder(os.geteuid(), os.getegid(), str(folder))
    assert CountedTries("machine", 2, str(folder)).take(TOKEN, owner=True) is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o755


def test_it_becomes_the_accounts_even_where_another_login_is_making_it(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder = tmp_path / "tries"
    folder.mkdir(mode=0o700)
    make_folder(65534, 65534, str(folder))
    assert folder.stat().st_uid == 65534


def test_what_is_no_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tries").symlink_to(tmp_path / "other")
    make_folder(os.geteuid(), os.getegid(), str(tmp_path / "tries"))
    assert (tmp_path / "tries").is_symlink()


def test_everything_can_be_forgotten(tries: CountedTries, folder: Path, tmp_path: Path) -> None:
    tries.take(TOKEN, owner=True)
    tries.take(replace(TOKEN, serial="2"), owner=True)
    assert forget_all(str(folder)) == 2
    assert list(folder.iterdir()) == []
    assert forget_all(str(tmp_path / "nowhere")) == 0
