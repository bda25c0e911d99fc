# SPDX-License-Identifier: LGPL-2.1-or-later
"""Local or remote, and which texts can be account names at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pam_sc import host
from pam_sc.decision.request import Account, LookupFailed, NoSuchAccount, Request
from pam_sc.errors import MapperError
from pam_sc.services import Person


def asked_by(uid: int, rhost: str | None = None) -> Request:
    return Request(service="sudo", account="alice", real_uid=uid, effective_uid=0, saved_uid=0, rhost=rhost)


def session(folder: Path, name: str, **facts: str) -> None:
    whole = {"UID": "4001", "ACTIVE": "1", "REMOTE": "0", "SEAT": "seat0", **facts}
    text = "".join(f"{key}={value}\n" for key, value in whole.items())
    (folder / name).write_text(text)


@pytest.mark.parametrize("rhost", ["host.example.test", "localhost", "127.0.0.1", "::1", " "])
def test_any_rhost_is_remote_for_root_too(tmp_path: Path, rhost: str) -> None:
    assert host.find_locality(asked_by(0, rhost), str(tmp_path)).remote


def test_root_without_rhost_is_local(tmp_path: Path) -> None:
    assert not host.find_locality(asked_by(0), str(tmp_path)).remote


def test_where_logind_does_not_run_a_caller_without_rhost_is_local(tmp_path: Path) -> None:
    assert not host.find_locality(asked_by(4001), str(tmp_path / "missing")).remote


def test_a_caller_with_an_active_local_session_is_local(tmp_path: Path) -> None:
    session(tmp_path, "c1")
    assert not host.find_locality(asked_by(4001), str(tmp_path)).remote


@pytest.mark.parametrize("change", [{"UID": "4002"}, {"ACTIVE": "0"}, {"REMOTE": "1"}, {"SEAT": ""}], ids=str)
def test_a_session_that_differs_in_one_fact_does_not_make_the_caller_local(
    tmp_path: Path, change: dict[str, str]
) -> None:
    session(tmp_path, "c1", **change)
    assert host.find_locality(asked_by(4001), str(tmp_path)).remote


@pytest.mark.parametrize("kind", ["manager", "background"])
def test_a_session_without_a_seat_does_not_make_the_caller_local(tmp_path: Path, kind: str) -> None:
    """logind calls these active and not remote: a job of cron, and the service manager of whoever came by ssh."""
    (tmp_path / "c2").write_text(f"UID=4001\nACTIVE=1\nREMOTE=0\nCLASS={kind}\n")
    assert host.find_locality(asked_by(4001), str(tmp_path)).remote


def test_a_session_that_cannot_be_read_does_not_hide_the_next(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    session(tmp_path, "c1")
    assert not host.find_locality(asked_by(4001), str(tmp_path)).remote


@pytest.mark.parametrize("name", ["alice", "a", "alice.b-c_d", "DOMAIN\\alice", "alice@example.test", "j\u00f6rg", "a$"])
def test_names_that_may_be_accounts(name: str) -> None:
    assert host.may_be_account(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "-alice", "+alice", "../x", "a/b", "a:b", "a b", "a\0b", "a\nb", "a\x1b", "a\u202eb", "x" * 257],
)
def test_names_that_cannot_be_accounts_are_not_even_looked_up(name: str) -> None:
    assert not host.may_be_account(name)
    assert host.PwdAccounts().by_name(name) == NoSuchAccount()


def test_root_exists_and_a_stranger_does_not() -> None:
    accounts = host.PwdAccounts()
    assert getattr(accounts.by_name("root"), "uid", None) == 0
    assert accounts.by_name("no-such-account-here") == NoSuchAccount()


def test_the_age_of_a_process_counts_from_its_fork() -> None:
    ask = "import time; time.sleep(0.3); from pam_sc.host import process_age; print(process_age())"
    started = time.monotonic()
    age = float(subprocess.check_output([sys.executable, "-c", ask], env={"PYTHONPATH": os.pathsep.join(sys.path)}))
    assert 0.29 < age < time.monotonic() - started + 0.02


# ---------------------------------------------------------------- the accounts, for mappers


class FakeNss:
    """The builtin module of pam_sc_worker, with accounts from a list, or an error."""

    def __init__(self, *people: tuple[str, int, str], error: int | None = None) -> None:
        self.people, self.error = people, error

    def look_up_name(self, name: str) -> tuple[str, int, str] | None:
        self._fail()
        return next((each for each in self.people if each[0].lower() == name.lower()), None)

    def list_accounts(self, most: int) -> list[tuple[str, int, str]]:
        self._fail()
        return list(self.people)

    def _fail(self) -> None:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))


@pytest.fixture
def nss(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeNss], None]:
    return lambda fake: monkeypatch.setitem(sys.modules, "_pam_sc", fake)  # type: ignore[arg-type]


def test_people_of_nss_come_with_their_gecos_field(nss: Callable[[FakeNss], None]) -> None:
    nss(FakeNss(("alice", 4001, "Alice Example"), ("bob", 4002, "")))
    assert host.NssPeople().by_name("alice") == Person("alice", 4001, "Alice Example")
    assert host.NssPeople().by_name("carol") is None
    assert tuple(host.NssPeople().everybody()) == (Person("alice", 4001, "Alice Example"), Person("bob", 4002, ""))


def test_an_account_that_nss_gives_under_another_name_is_not_there(nss: Callable[[FakeNss], None]) -> None:
    nss(FakeNss(("alice", 4001, "")))
    assert host.NssPeople().by_name("Alice") is None


def test_what_is_no_account_name_is_not_looked_up_for_a_mapper(nss: Callable[[FakeNss], None]) -> None:
    nss(FakeNss(error=errno.EIO))
    for name in ("", "Alice Example", "a/b", "-x", "a\0b"):
        assert host.NssPeople().by_name(name) is None
        assert host.PwdPeople().by_name(name) is None


@pytest.mark.parametrize(("code", "message"), [(errno.EIO, "the name service gave an error"),
                                               (errno.ENOMEM, "the name service gave an error")])
def test_an_error_of_nss_is_not_nobody(nss: Callable[[FakeNss], None], code: int, message: str) -> None:
    nss(FakeNss(error=code))
    with pytest.raises(MapperError, match=message):
        host.NssPeople().by_name("alice")
    with pytest.raises(MapperError, match=message):
        host.NssPeople().everybody()


def test_too_many_people_are_an_error(nss: Callable[[FakeNss], None]) -> None:
    nss(FakeNss(error=errno.E2BIG))
    with pytest.raises(MapperError, match="lists more than 100000 accounts"):
        host.NssPeople().everybody()


def test_people_of_the_command_line_are_those_of_the_machine() -> None:
    root = host.PwdPeople().by_name("root")
    assert root is not None
    assert (root.name, root.uid) == ("root", 0)
    assert root in tuple(host.PwdPeople().everybody())
    assert host.PwdPeople().by_name("no-such-account") is None


# ---------------------------------------------------------------- the groups of an account, for the lists


class FakeGroups:
    """The module `_pam_sc` with root and these groups; what is an error number cannot be looked up."""

    def __init__(self, **groups: tuple[int, list[str]] | int) -> None:
        self.groups = groups
        self.asked: list[str] = []

    def look_up_name(self, name: str) -> tuple[str, int, str] | None:
        return (name, 0, "") if name in ("root", "vanished-meanwhile") else None

    def look_up_uid(self, uid: int) -> tuple[str, int, str] | None:
        return self.look_up_name("root")

    def look_up_group(self, name: str) -> tuple[str, int, list[str]] | None:
        self.asked.append(name)
        found = self.groups.get(name)
        if isinstance(found, int):
            raise OSError(found, os.strerror(found))
        return None if found is None else (name.lower(), *found)


def groups_of_root(nss: Callable[[FakeNss], None], fake: FakeGroups, *wanted: str) -> object:
    nss(fake)  # type: ignore[arg-type]
    return host.NssAccounts(frozenset(wanted)).by_name("root")


def test_an_account_is_in_its_primary_group_and_where_it_is_listed(nss: Callable[[FakeNss], None]) -> None:
    fake = FakeGroups(primary=(0, []), listed=(7777, ["root"]), other=(7778, ["bob", "Root", "root2"]))
    assert groups_of_root(nss, fake, "primary", "listed", "other", "missing") == (
        Account("root", 0, frozenset({"primary", "listed"}))
    )
    assert host.NssAccounts(frozenset({"listed"})).by_uid(0) == Account("root", 0, frozenset({"listed"}))


def test_a_group_counts_under_the_name_in_the_list_where_the_name_service_does_not_mind_upper_case(
    nss: Callable[[FakeNss], None],
) -> None:
    fake = FakeGroups(Staff=(7777, ["root"]), Other=(7778, ["bob"]))
    assert groups_of_root(nss, fake, "Staff", "Other") == Account("root", 0, frozenset({"Staff"}))


def test_groups_are_looked_up_only_where_a_list_names_them(nss: Callable[[FakeNss], None]) -> None:
    fake = FakeGroups(listed=(7777, ["root"]))
    assert groups_of_root(nss, fake) == Account("root", 0)
    assert fake.asked == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ECONNREFUSED, errno.ENOMEM])
def test_a_group_that_cannot_be_looked_up_is_not_a_group_that_is_not_there(nss: Callable[[FakeNss], None], code: int) -> None:
    found = groups_of_root(nss, FakeGroups(listed=(7777, ["root"]), broken=code), "listed", "broken")
    assert isinstance(found, LookupFailed)


def test_an_account_that_vanishes_between_two_lookups_has_no_known_groups(nss: Callable[[FakeNss], None]) -> None:
    nss(FakeGroups(listed=(7777, ["root"])))  # type: ignore[arg-type]
    assert isinstance(host.NssAccounts(frozenset({"listed"})).by_name("vanished-meanwhile"), LookupFailed)


def test_the_command_line_sees_all_groups_of_an_account() -> None:
    root = host.PwdAccounts().by_name("root")
    assert isinstance(root, Account)
    assert "root" in root.groups
