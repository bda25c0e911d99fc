# SPDX-License-Identifier: LGPL-2.1-or-later
"""A good configuration has no findings; each of these differs from it in one thing and has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pam_sc.config.finding import Weight
from pam_sc.config.lint import lint, uid_of
from pam_sc.config.model import (
    AccountSettings,
    Configuration,
    MapperSettings,
    ModuleSettings,
    TokenSettings,
    TrustSettings,
)
from pam_sc.decision.policy import DEFAULT_PRIVILEGED_SERVICES, Algorithms
from pam_sc.record import replace
from tests.support.pki import DAY, CertificateAuthority, Wish, now
from tests.unit.config.findings import OWNERS, findings, only, write


def test_a_good_configuration_has_no_findings(good: Configuration) -> None:
    assert findings(good) == []


# ---------------------------------------------------------------- what the configuration says


def test_root_logins_are_a_warning(good: Configuration) -> None:
    found = only(replace(good, account=AccountSettings(allow_root=True)))
    assert found == (Weight.WARNING, "account.allow_root", "a card can log in as root, if a mapper says so")


def test_remote_logins_are_a_warning(good: Configuration) -> None:
    assert only(replace(good, account=AccountSettings(remote_allowed=True)))[:2] == (Weight.WARNING, "account.remote")


def test_a_service_that_is_never_reached_is_a_note(good: Configuration) -> None:
    account = AccountSettings(services=frozenset({"login", "sudo"}))
    text = "'gdm-smartcard' is not in account.services, so never used"
    found = only(replace(good, account=account))
    assert found == (Weight.NOTE, "account.card_names_user", text)


def test_a_privileged_service_that_is_left_out_is_a_warning(good: Configuration) -> None:
    account = AccountSettings(privileged_services=DEFAULT_PRIVILEGED_SERVICES - {"sudo"} | {"kiosk"})
    severity, where, text = only(replace(good, account=account))
    assert (severity, where) == (Weight.WARNING, "account.privileged_services")
    assert text.startswith("does not name 'sudo': ")


@pytest.mark.parametrize(
    ("name", "what"), [("openssh", "write openssh's file in a home"), ("pwent", "change an account's GECOS field")]
)
def test_what_people_can_change_and_is_believed_for_a_service_is_a_warning(
    good: Configuration, name: str, what: str
) -> None:
    def with_table(table: dict[str, object]) -> Configuration:
        return replace(good, mappers=(MapperSettings(name=name, table=table, where="here"),))

    assert findings(with_table({})) == []
    severity, where, text = only(with_table({"believed_for": ["sudo"]}))
    assert (severity, where) == (Weight.WARNING, "mapper[0].believed_for")
    assert text.startswith(f"'sudo': whoever can {what}, every program ")


@pytest.mark.parametrize("algorithms", [Algorithms.LEGACY, Algorithms.ANY])
def test_old_algorithms_are_a_warning(good: Configuration, algorithms: Algorithms) -> None:
    severity, where, text = only(replace(good, trust=replace(good.trust, algorithms=algorithms)))
    assert (severity, where) == (Weight.WARNING, "trust.algorithms")
    assert text.startswith(f"{algorithms.value}: ")


def test_rules_that_cas_need_not_keep_are_a_warning(good: Configuration) -> None:
    assert only(replace(good, trust=replace(good.trust, strict=False)))[:2] == (Weight.WARNING, "trust.strict")


def test_partial_paths_and_policies_are_no_finding(good: Configuration) -> None:
    trust = replace(good.trust, partial_paths=True, policies=frozenset({"1.2.3"}))
    assert findings(replace(good, trust=trust)) == []


def test_an_opensc_conf_of_ones_own_is_a_warning(good: Configuration) -> None:
    module = ModuleSettings(path="/m.so", environment={"OPENSC_CONF": "/etc/opensc.conf"})
    found = only(replace(good, token=TokenSettings(modules=(module,))))
    assert found[:2] == (Weight.WARNING, "token.module[0].environment.OPENSC_CONF")


@pytest.mark.parametrize("call", ["ptrace", "execve", "process_vm_readv", "kill"])
def test_a_system_call_that_the_filter_is_there_to_stop_is_a_warning(good: Configuration, call: str) -> None:
    found = only(replace(good, token=TokenSettings(modules=(ModuleSettings(path="/m.so", allow=("fsync", call)),))))
    text = f"lets the module call {call}, which the filter is there to stop"
    assert found == (Weight.WARNING, "token.module[0].allow", text)


def test_a_module_that_is_listed_twice_is_a_warning(good: Configuration) -> None:
    module = ModuleSettings(path="/m.so")
    assert only(replace(good, token=TokenSettings(modules=(module, module))))[1] == "token.module[1].path"


def test_a_mapper_without_a_mapfile_is_a_note(good: Configuration) -> None:
    found = only(replace(good, mappers=(MapperSettings(name="cn", table={}, where=""),)))
    assert found[:2] == (Weight.NOTE, "mapper[0].mapfile")


@pytest.mark.parametrize(
    ("content", "weight", "where", "text"),
    [
        (b"Alice -> alice\nBob bob\n", Weight.ERROR, 2, "got 'Bob bob', expected one line 'value -> account'"),
        (b"Alice -> alice\nAlice -> bob\n", Weight.WARNING, 2, "never counts: line 1 has the same left side, for 'alice'"),
    ],
)
def test_every_line_of_a_mapfile_is_read(
    good: Configuration, place: Path, content: bytes, weight: Weight, where: int, text: str
) -> None:
    write(place / "map", content)
    assert only(good) == (weight, f"{place}/map:{where}", text)


def test_the_lines_of_a_mapfile_are_read_ignoring_case_where_a_login_does(good: Configuration, place: Path) -> None:
    write(place / "map", b"Alice -> alice\nALICE -> bob\n")
    assert findings(good) == []
    table = {"mapfile": str(place / "map"), "ignore_case": True}
    found = only(replace(good, mappers=(MapperSettings(name="cn", table=table, where=""),)))
    assert found[:2] == (Weight.WARNING, f"{place}/map:2")


def test_a_mapper_that_has_no_mapfile_is_not_asked_for_one(good: Configuration) -> None:
    assert findings(replace(good, mappers=(MapperSettings(name="rules", table={}, where=""),))) == []


# ---------------------------------------------------------------- the accounts


@pytest.mark.parametrize(
    ("uids", "where", "text"),
    [
        ({"pam_sc_card": 991}, "accounts", "there is no account 'pam_sc'; privileged programs refuse every card"),
        ({"pam_sc": 990}, "token.run_as", "there is no account 'pam_sc_card'; privileged programs refuse every card"),
        (
            {"pam_sc": 990, "pam_sc_card": 0},
            "token.run_as",
            "the account 'pam_sc_card' has uid 0; privileged programs refuse every card",
        ),
        ({"pam_sc": 990, "pam_sc_card": 990}, "token.run_as", "has the uid of 'pam_sc'; every card is refused"),
    ],
)
def test_accounts_that_no_login_can_use_are_an_error(
    good: Configuration, uids: dict[str, int], where: str, text: str
) -> None:
    assert only(good, uids) == (Weight.ERROR, where, text)


def test_accounts_that_are_missing_are_a_note_where_only_programs_without_privilege_count(good: Configuration) -> None:
    found = lint(good, at=now(), find_uid={}.get, privileged=False, owners=OWNERS)
    assert [finding.severity for finding in found] == [Weight.NOTE, Weight.NOTE]


def test_an_account_is_looked_up_by_name() -> None:
    assert uid_of("root") == 0
    assert uid_of("no-such-account-here") is None


# ---------------------------------------------------------------- the files


def test_anchors_that_do_not_exist_are_an_error(good: Configuration, place: Path) -> None:
    found = findings(replace(good, trust=TrustSettings(anchors=str(place / "none"))))
    assert [(finding.severity, finding.text) for finding in found] == [
        (Weight.ERROR, f"{place}/none does not exist"),
    ]


def test_a_file_among_the_anchors_that_is_no_certificate_is_a_warning(good: Configuration, place: Path) -> None:
    write(place / "anchors" / "README", b"hello")
    text = f"{place}/anchors/README holds no certificate that can be parsed"
    assert only(good) == (Weight.WARNING, "trust.anchors", text)


def test_hidden_files_are_not_looked_at(good: Configuration, place: Path) -> None:
    write(place / "anchors" / ".hidden", b"hello", 0o600)
    assert findings(good) == []


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [(-10, -1, "expired on"), (1, 10, "is not valid before")],
)
def test_an_anchor_that_is_not_valid_now_is_a_warning(
    good: Configuration, place: Path, first: int, last: int, text: str
) -> None:
    wish = Wish(ca=True, key_usage=("keyCertSign",), not_before=now() + first * DAY, not_after=now() + last * DAY)
    write(place / "anchors" / "two.pem", CertificateAuthority("Old Root", wish=wish).pem)
    severity, where, found = only(good)
    assert (severity, where) == (Weight.WARNING, "trust.anchors")
    assert f"the trust anchor in {place}/anchors/two.pem {text}" in found


@pytest.mark.parametrize(
    ("closed", "where", "text"),
    [
        ("anchors/one.pem", "trust.anchors", "{}/anchors/one.pem is not readable for everybody"),
        ("anchors", "trust.anchors", "the folder {}/anchors is closed to other accounts"),
        ("crls/one.pem", "revocation.crls", "{}/crls/one.pem is not readable for everybody"),
        ("map", "mapper[0].mapfile", "{}/map is not readable for everybody"),
    ],
)
def test_a_file_that_pam_sc_cannot_read_is_an_error(
    good: Configuration, place: Path, closed: str, where: str, text: str
) -> None:
    path = place / closed
    path.chmod(0o700 if path.is_dir() else 0o600)
    assert only(good) == (Weight.ERROR, where, text.format(place) + "; logins read it as pam_sc")


def test_a_closed_folder_above_a_file_is_an_error(good: Configuration, place: Path) -> None:
    inner = place / "closed" / "inner"
    inner.mkdir(parents=True)
    write(inner / "map", b"")
    (place / "closed").chmod(0o700)
    mapper = MapperSettings(name="cn", table={"mapfile": str(inner / "map")}, where="")
    text = f"{place}/closed is closed to other accounts; logins read {inner}/map as pam_sc"
    assert only(replace(good, mappers=(mapper,))) == (Weight.ERROR, "mapper[0].mapfile", text)
