# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real machine's parts that need no card: configuration, request, the stack's configuration, identities."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.card.client import RunAs
from pam_sc.cli.machine import RealMachine, trusted_uids
from pam_sc.cli.pin_entry import pin_entry
from pam_sc.cli.rehearsal import _without_limits
from pam_sc.config.finding import Weight
from pam_sc.config.model import AccountSettings, Configuration
from pam_sc.config.notes import NoteKind
from pam_sc.config.stig import Demand
from pam_sc.decision.card_report import TokenReport
from pam_sc.decision.possession import Answer, PinPrompt
from pam_sc.decision.request import Purpose
from pam_sc.errors import ConfigError
from pam_sc.identity import acting_as, find_identity
from tests.support.peer_configurations import configuration
from tests.support.pki import CertificateAuthority
from tests.unit.cli.cards import CONFIGURATION, token


@pytest.fixture
def pam_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pam.d"
    folder.mkdir()
    return folder


@pytest.fixture
def machine(pam_folder: Path) -> RealMachine:
    return RealMachine(str(pam_folder))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "module.so").write_bytes(b"")
    (tmp_path / "anchors.pem").write_bytes(CertificateAuthority().pem)
    path = tmp_path / "pam_sc.toml"
    path.write_text(
        f'[[token.module]]\npath = "{tmp_path}/module.so"\n[trust]\nanchors = "{tmp_path}/anchors.pem"\n'
        '[[mapper]]\nname = "cn"\n'
    )
    for name in ("module.so", "anchors.pem", "pam_sc.toml"):
        (tmp_path / name).chmod(0o644)
    return path


# ---------------------------------------------------------------- the configuration


def test_the_monitor_reads_the_same_files_and_those_of_event_managers(machine: RealMachine, file: Path) -> None:
    assert machine.load_for_monitor(str(file)) == machine.load_configuration(str(file))
    events = file.with_name("events.conf")
    events.write_text("card_eventmgr { event card_remove { action = xlock | cat; } }")
    with pytest.raises(ConfigError, match=r"events\.conf:1: found a word"):
        machine.load_for_monitor(str(events))


def test_a_relative_path_is_taken_from_where_the_caller_is(
    machine: RealMachine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    assert machine.load_configuration("pam_sc.toml").source == str(file)


def test_a_check_reads_what_the_configuration_names(machine: RealMachine, file: Path) -> None:
    assert not [
        found for found in machine.check(str(file)).findings if found.where == str(file) and found.severity is Weight.ERROR
    ]
    (file.parent / "anchors.pem").write_bytes(b"nothing")
    found = [found for found in machine.check(str(file)).findings if found.where == str(file)]
    assert found[0].severity is Weight.ERROR
    assert "anchor" in found[0].text


def test_anchors_that_are_missing_or_empty_are_told_once(machine: RealMachine, file: Path) -> None:
    path = file.parent / "anchors.pem"
    path.unlink()
    missing = [found.text for found in machine.check(str(file)).findings if found.severity is Weight.ERROR]
    assert [text for text in missing if str(path) in text] == [f"{path} does not exist"]
    path.mkdir()
    empty = [found.text for found in machine.check(str(file)).findings if "holds no" in found.text or "found no" in found.text]
    assert empty == [f"cannot load anchors from '{path}': found no certificate"]


def test_a_finding_names_the_line_of_its_key_or_of_the_table_around_it(machine: RealMachine, file: Path) -> None:
    file.write_text(file.read_text() + "[account]\nallow_root = true\n")
    lines = {found.where: found.line for found in machine.check(str(file)).findings}
    assert lines["account.allow_root"] == 8
    assert lines["mapper[0].mapfile"] == 5
    assert lines["revocation.store"] is None


def test_a_check_judges_by_the_rules_and_says_what_holds(machine: RealMachine, file: Path) -> None:
    checked = machine.check(str(file))
    assert checked.configuration is not None
    assert checked.configuration.source == checked.source == str(file)
    assert {answer.demand: (answer.met, answer.line) for answer in checked.stig} == {
        Demand.PATH: (True, 4), Demand.STATUS: (True, None), Demand.LOCAL: (True, None), Demand.MAPPED: (False, 6),
    }  # fmt: skip


@pytest.fixture
def peer_file(file: Path) -> Path:
    """A pam_pkcs11.conf that means what `file` means."""
    path = file.with_suffix(".conf")
    path.write_text(configuration(module=f"{file.parent}/module.so", ca_dir=f"{file.parent}/anchors.pem"))
    path.chmod(0o644)
    return path


def test_a_check_goes_through_a_file_of_the_peer_line_by_line(machine: RealMachine, peer_file: Path) -> None:
    peer_file.write_text(peer_file.read_text().replace("use_mappers", "nullok = true; nonsense = 1; use_mappers"))
    checked = machine.check(str(peer_file))
    assert checked.configuration is not None
    found = {finding.where: finding for finding in checked.findings}
    assert (found["nullok"].severity, found["nullok"].kind, found["nullok"].line) == (Weight.WARNING, NoteKind.UNSAFE, 10)
    assert (found["nonsense"].severity, found["nonsense"].kind) == (Weight.WARNING, NoteKind.UNKNOWN)
    assert found["mapper[0].mapfile"].line == 10
    assert [answer.met for answer in checked.stig] == [True, False, False, False]
    assert checked.stig[0].line == 8


def test_all_that_is_wrong_with_a_file_of_the_peer_is_told_at_once(machine: RealMachine, peer_file: Path) -> None:
    peer_file.write_text(peer_file.read_text().replace("ca,signature", "ca,sig").replace("= cn", "= nc"))
    checked = machine.check(str(peer_file))
    assert checked.configuration is None
    errors = [(finding.where, finding.line) for finding in checked.findings if finding.severity is Weight.ERROR]
    assert {("cert_policy", 8), ("use_mappers", 10)} <= set(errors)
    assert len(checked.stig) == 4


def test_what_the_schema_refuses_in_a_file_of_the_peer_is_an_error_with_its_line(
    machine: RealMachine, peer_file: Path
) -> None:
    peer_file.write_text(peer_file.read_text().replace("cert_policy", "timeout = 100000; cert_policy"))
    checked = machine.check(str(peer_file))
    (error,) = [finding for finding in checked.findings if finding.severity is Weight.ERROR]
    assert error.text.startswith(f"{peer_file}:8: revocation.timeout: ")


def test_a_file_of_the_peer_that_is_no_scconf_is_an_error(machine: RealMachine, peer_file: Path) -> None:
    peer_file.write_text("pam_pkcs11 }")
    with pytest.raises(ConfigError, match="found"):
        machine.check(str(peer_file))


def test_a_check_names_a_mapper_that_does_not_exist(machine: RealMachine, file: Path) -> None:
    file.write_text(file.read_text().replace('"cn"', '"nc"'))
    assert any(found.severity is Weight.ERROR and "'nc'" in found.text for found in machine.check(str(file)).findings)


def test_a_check_reads_the_certificates_that_cas_are_named_by(machine: RealMachine, file: Path) -> None:
    (file.parent / "ca.pem").write_bytes(b"nothing")
    ca = f'[[revocation.ca]]\nname = "partner"\ncertificate = "{file.parent}/ca.pem"\n'
    file.write_text(file.read_text() + ca)
    wheres = [found.where for found in machine.check(str(file)).findings if "holds no certificates" in found.text]
    assert "revocation.ca[0].certificate" in wheres


def test_a_check_reads_the_pam_stacks(machine: RealMachine, file: Path, pam_folder: Path) -> None:
    (pam_folder / "sudo").write_text("auth required pam_sc.so debgu\n")
    assert any(found.where == f"{pam_folder}/sudo:1" for found in machine.check(str(file)).findings)


def test_the_configuration_of_a_service_is_that_of_its_own_line(machine: RealMachine, pam_folder: Path) -> None:
    (pam_folder / "common").write_text("auth sufficient pam_sc.so config=/etc/pam_sc/other.toml\n")
    (pam_folder / "sudo").write_text("@include common\n")
    (pam_folder / "su").write_text("auth sufficient pam_unix.so\n")
    assert machine.config_of_service("sudo") == "/etc/pam_sc/other.toml"
    assert machine.config_of_service("su") is None
    assert machine.config_of_service("../sudo") == "/etc/pam_sc/other.toml"


# ---------------------------------------------------------------- who asks


def test_the_request_is_the_caller_s_own_and_no_login(machine: RealMachine) -> None:
    asked = machine.request("alice", "sudo")
    assert (asked.real_uid, asked.effective_uid, asked.saved_uid) == os.getresuid()
    assert (asked.account, asked.service, asked.purpose) == ("alice", "sudo", Purpose.EXPLAIN)
    assert trusted_uids() == {0, os.getuid()}


def test_inspecting_leaves_out_no_token_and_no_account() -> None:
    limited = Configuration(
        source="/x", token=CONFIGURATION.token, trust=CONFIGURATION.trust, mappers=CONFIGURATION.mappers,
        account=AccountSettings(services=frozenset({"sudo"}), card_names_user=frozenset()),
    )  # fmt: skip
    policy = _without_limits(limited).policy()
    assert policy.services is None
    assert policy.remote_allowed
    assert policy.card_names_user == {"login"}
    assert policy.select is None


@pytest.mark.root
def test_root_acts_as_the_account_and_comes_back() -> None:
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with acting_as(RunAs(65534, 65534, (65534,))) as stop:
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (65534, 65534, [65534])
        stop()
        assert os.geteuid() == 0
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@pytest.mark.root
def test_root_comes_back_from_an_error_too() -> None:
    with pytest.raises(ConfigError), acting_as(RunAs(65534, 65534, ())):
        raise ConfigError("x")
    assert os.geteuid() == 0


@pytest.mark.root
@pytest.mark.parametrize(
    ("account", "why"),
    [
        ("no-such-account-here", "there is no account 'no-such-account-here'"),
        ("root", "the account 'root' has uid or gid 0"),
    ],
)
def test_root_does_not_act_as_nobody_or_root(account: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        find_identity(account)


def test_whoever_is_not_root_stays_who_they_are() -> None:
    with acting_as(None) as stop:
        before = os.geteuid()
        stop()
        assert os.geteuid() == before


# ---------------------------------------------------------------- the PIN


class Secrets:
    """Stands for a started card process: keeps what was sent to it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send_pin(self, pin: bytes) -> None:
        self.sent.append(pin)


@pytest.mark.parametrize(
    ("typed", "answer", "sent"),
    [
        ("1234", Answer.ANSWERED, [b"1234"]),
        ("x" * 512, Answer.ANSWERED, [b"x" * 512]),
        ("x" * 513, Answer.TOO_LONG, []),
        ("é" * 257, Answer.TOO_LONG, []),
        ("", Answer.EMPTY, []),
    ],
)
def test_a_pin_goes_to_the_card_process_if_it_can_be_one(typed: str, answer: Answer, sent: list[bytes]) -> None:
    secrets = Secrets()
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return typed

    the_token: TokenReport = token()
    entry = pin_entry(secrets, CONFIGURATION, ask)  # type: ignore[arg-type]
    assert entry.ask(the_token, PinPrompt.FIRST) is answer
    assert secrets.sent == sent
    assert prompts == ["PIN for Card\\x1b[2J\\x0a\\u202e: "]


def test_without_a_way_to_ask_no_pin_is_sent() -> None:
    secrets = Secrets()
    entry = pin_entry(secrets, CONFIGURATION, None)  # type: ignore[arg-type]
    assert entry.ask(token(), PinPrompt.FIRST) is Answer.NOT_GIVEN
    assert secrets.sent == []
