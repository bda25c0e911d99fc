# SPDX-License-Identifier: LGPL-2.1-or-later
"""The card of a session: written as one line, believed only where root alone could have written it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pam_sc.decision.card_report import TokenRef, TokenReport
from pam_sc.record import replace
from pam_sc.session import FILE_MAX, FILES_MAX, SessionCard, parse_session_cards, read_session_cards, session_card_text

CARD = SessionCard(
    uid=1000, account="alice", service="login", label="PIV", serial="01", manufacturer="m", model="PKCS#15",
    certificate_sha256="ab" * 32, session="3",
)  # fmt: skip


class Folders:
    """Where the files are, and the sessions of logind."""

    def __init__(self, at: Path) -> None:
        self.files, self.logind = at / "files", at / "logind"
        self.files.mkdir()
        self.logind.mkdir()

    def put(self, session: str = "3", text: str | None = None, mode: int = 0o640) -> Path:
        """A session with its file, which `text` may replace."""
        (self.logind / session).write_text("UID=1000\n")
        path = self.files / f"{session}.json"
        path.write_text(session_card_text(CARD) if text is None else text)
        path.chmod(mode)
        return path

    def read(self, uid: int | None = 1000, owner: int | None = None) -> tuple[SessionCard, ...]:
        """What is believed."""
        whose = os.getuid() if owner is None else owner
        return read_session_cards(uid, str(self.files), str(self.logind), whose)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.mark.parametrize("removable", [True, False])
def test_whether_a_card_can_be_taken_away_comes_back(removable: bool) -> None:
    card = replace(CARD, removable=removable)
    assert parse_session_cards([(CARD.session, session_card_text(card).encode())]) == (card,)


@pytest.mark.parametrize("value", [0, "", None, [], "false", True])
def test_what_is_not_plainly_said_to_stay_can_be_taken_away(value: object) -> None:
    text = changed(removable=value)
    (card,) = parse_session_cards([(CARD.session, text.encode())])
    assert card.removable


def test_what_is_written_is_read_again(folders: Folders) -> None:
    folders.put()
    assert folders.read() == (CARD,)
    assert folders.read(uid=None) == (CARD,)


def test_the_card_of_another_account_is_not_read(folders: Folders) -> None:
    folders.put()
    assert folders.read(uid=1001) == ()


def test_each_session_has_its_own(folders: Folders) -> None:
    folders.put("3")
    folders.put("c2")
    assert [card.session for card in folders.read()] == ["3", "c2"]


def test_without_the_folder_there_is_no_card(tmp_path: Path) -> None:
    assert read_session_cards(1000, str(tmp_path / "nothing"), str(tmp_path)) == ()


def test_a_session_that_has_ended_has_no_card(folders: Folders) -> None:
    folders.put()
    (folders.logind / "3").unlink()
    assert folders.read() == ()


@pytest.mark.parametrize(("said", "read"), [("REALTIME=1600000000000000", False), ("REALTIME=1500000000000000", True),
                                            ("REALTIME=x", True), ("XREALTIME=1600000000000000", True)])  # fmt: skip
def test_what_an_earlier_session_of_the_same_name_has_left_is_no_card_of_it(
    folders: Folders, said: str, read: bool
) -> None:
    os.utime(folders.put(), (1550000000, 1550000000))
    (folders.logind / "3").write_text(f"UID=1000\n{said}\n")
    assert bool(folders.read()) is read


def test_files_that_ended_sessions_have_left_hide_none(folders: Folders) -> None:
    for number in range(FILES_MAX + 1):
        folders.put(f"1{number}")
        (folders.logind / f"1{number}").unlink()
    folders.put()
    assert folders.read() == (CARD,)


def test_many_sessions_of_one_account_hide_none_of_another(folders: Folders) -> None:
    for number in range(300):
        folders.put(f"1{number}", session_card_text(replace(CARD, uid=1001)))
    folders.put("9")
    assert folders.read() == (replace(CARD, session="9"),)


def changed(**values: object) -> str:
    return json.dumps({**json.loads(session_card_text(CARD)), **values})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 4000, changed(version=2), changed(uid="1000"), changed(uid=True), changed(label=None),
     changed(label=7), changed(certificate_sha256=[]), " " * FILE_MAX + session_card_text(CARD), "\udcff"],
)  # fmt: skip
def test_a_malformed_file_is_no_card_and_hides_no_other(folders: Folders, text: str) -> None:
    folders.put("3", "")
    (folders.files / "3.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    folders.put("4")
    assert [card.session for card in folders.read()] == ["4"]


def test_a_file_of_somebody_else_is_not_believed(folders: Folders) -> None:
    folders.put()
    assert folders.read(owner=os.getuid() + 1) == ()


@pytest.mark.parametrize("mode", [0o660, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_believed(folders: Folders, mode: int) -> None:
    folders.put(mode=mode)
    assert folders.read() == ()


def linked(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to(path.parent / "elsewhere")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o640)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("make", [linked, fifo, folder])
def test_what_is_no_regular_file_is_not_believed(folders: Folders, make: Callable[[Path], None]) -> None:
    make(folders.put())
    assert folders.read() == ()


def test_whatever_the_card_says_about_itself_is_one_line_and_comes_back(folders: Folders) -> None:
    odd = replace(CARD, label='a"\n{\u202e\\', model="x" * 100)
    text = session_card_text(odd)
    assert text.isprintable()
    folders.put(text=text)
    assert folders.read() == (odd,)


def test_more_than_a_file_holds_is_not_written() -> None:
    assert session_card_text(replace(CARD, label="x" * FILE_MAX)) == ""


def test_a_token_with_one_other_text_is_another_one() -> None:
    token = TokenReport(ref=TokenRef(0, 0), label="PIV", serial="01", manufacturer="m", model="PKCS#15")
    assert CARD.is_token(token)
    for field in ("label", "serial", "manufacturer", "model"):
        assert not CARD.is_token(replace(token, **{field: "other"}))
