# SPDX-License-Identifier: LGPL-2.1-or-later
"""find-user prints the account or one line why not, with an exit code for each kind; explain names every account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from pam_sc.cli.find_user import ERRORS, NOTHING_THERE, _exit_code
from pam_sc.cli.main import run
from pam_sc.cli.rehearsal import _why
from pam_sc.cli.steps import Rehearsal
from pam_sc.config.model import Configuration
from pam_sc.decision.card_report import CardReport, CertificateRef, Failure
from pam_sc.decision.evidence import CertificateEvidence, MappedAccounts
from pam_sc.decision.identity import Subject
from pam_sc.decision.reasons import REASONS, Reason, Step
from pam_sc.decision.request import Account, AccountLookup, NoSuchAccount, Request
from pam_sc.decision.verdict import Denied
from pam_sc.errors import ConfigError
from pam_sc.mappers.cn import CnMapper
from pam_sc.mapping import LoadedMapper, Mapper, MapperContext
from pam_sc.record import replace
from tests.unit.cli.cards import CERTIFICATES, GOOD, FakeMachine, card, evidence, known, rehearsal, token

Capture = pytest.CaptureFixture[str]
PEOPLE: dict[str, AccountLookup] = {
    "alice": Account("alice", 1000), "bob": Account("bob", 1001), "root": Account("root", 0), "gone": NoSuchAccount(),
}  # fmt: skip


@dataclass
class Desk(FakeMachine):
    """One whose certificate 1 maps to these accounts."""

    accounts: tuple[str, ...] = ("alice",)
    card: CardReport | Failure | None = None
    why: dict[CertificateRef, tuple[str, ...]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def rehearse(self, request: Request, configuration: Configuration, *, with_pin: bool) -> Rehearsal:
        assert not with_pin
        self.requests.append(request)
        mapping = MappedAccounts(self.accounts, f"cn: {', '.join(map(repr, self.accounts))}")
        certificates: dict[CertificateRef, CertificateEvidence] = {
            **CERTIFICATES, GOOD: replace(known(0, "CN=alice"), mapping=mapping)
        }  # fmt: skip
        found = replace(evidence(request, self.the_token), certificates=certificates, accounts=PEOPLE)
        found = found if self.card is None else replace(found, card=self.card)
        return replace(rehearsal(found, self.policy), why=self.why)


def said(capsys: Capture, machine: FakeMachine, *arguments: str) -> tuple[int, str, str]:
    code = run(arguments, machine)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_account_is_on_one_line_and_nothing_else(capsys: Capture) -> None:
    machine = Desk()
    assert said(capsys, machine, "find-user") == (0, "alice\n", "")
    (asked,) = machine.requests
    assert (asked.account, asked.service, asked.real_uid) == (None, "login", 0)


@pytest.mark.parametrize(
    ("changes", "code", "err"),
    [
        ({"accounts": ()}, 1, "not-mapped"),
        ({"accounts": ("gone",)}, 1, "mapped-account-unknown"),
        ({"accounts": ("root",)}, 1, "root-not-allowed"),
        ({"accounts": ("alice", "bob")}, 1, "mapped-to-several: 2 accounts"),
        ({"card": card(None)}, 3, "no-card"),
        ({"card": CardReport(())}, 3, "no-reader"),
        ({"the_token": token(certificates=())}, 3, "no-certificate"),
        ({"card": Failure(Reason.CARD_PROCESS_LOST, "it crashed")}, 2, "card-process-lost: it crashed"),
        ({"error": ConfigError("/x:1: wrong")}, 2, "/x:1: wrong"),
    ],
)
def test_without_an_account_one_line_says_why_and_the_code_which_kind(
    capsys: Capture, changes: dict[str, object], code: int, err: str
) -> None:
    machine = Desk()
    for name, value in changes.items():
        setattr(machine, name, value)
    found = said(capsys, machine, "find-user")
    assert found[:2] == (code, "")
    assert found[2].startswith(f"pam-sc: {err}")
    assert found[2].count("\n") == 1


def test_an_account_that_exists_beside_one_that_does_not_is_found(capsys: Capture) -> None:
    assert said(capsys, Desk(accounts=("gone", "bob")), "find-user") == (0, "bob\n", "")


def test_programs_get_the_account_or_the_reason(capsys: Capture) -> None:
    assert json.loads(said(capsys, Desk(), "find-user", "--json")[1]) == {"account": "alice"}
    found = json.loads(said(capsys, Desk(accounts=()), "find-user", "--json")[1])
    assert (found["account"], found["reason"]) == (None, "not-mapped")


def test_a_service_in_which_no_card_names_the_account_is_an_error(capsys: Capture) -> None:
    code, _out, err = said(capsys, Desk(), "find-user", "--service", "sudo")
    assert code == 2
    assert err.startswith("pam-sc: account-not-named: ")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_exit_code(reason: Reason) -> None:
    assert not NOTHING_THERE & ERRORS
    early = REASONS[reason].step in (Step.START, Step.TOKEN)
    code = _exit_code(Denied(reason))
    assert code != 0
    assert code in ((2, 3) if early else (1, 2, 3))


# ---------------------------------------------------------------- explain


def mapping_of(capsys: Capture, machine: FakeMachine, *arguments: str) -> tuple[int, list[str]]:
    code, out, _err = said(capsys, machine, "explain", *arguments, "--json")
    return code, next(step["found"] for step in json.loads(out)["steps"] if step["name"] == "mapping")


def test_explain_names_both_accounts_of_a_card_that_maps_to_two(capsys: Capture) -> None:
    code, found = mapping_of(capsys, Desk(accounts=("alice", "bob")))
    assert code == 1
    assert found == ["certificate 1: maps to alice, bob (cn: 'alice', 'bob')"]
    out = said(capsys, Desk(accounts=("alice", "bob")), "explain")[1]
    assert "mapped-to-several: 2 accounts" in out
    assert "maps to alice, bob" in out


def test_explain_shows_how_each_mapper_came_to_its_answer(capsys: Capture) -> None:
    why = {GOOD: ("rules: rule 1: the issuer differs", "rules: rule 2 matched")}
    told = [f"certificate 1: {line}" for line in why[GOOD]]
    assert mapping_of(capsys, Desk(why=why), "alice")[1][1:] == told
    code, found = mapping_of(capsys, Desk(why=why, accounts=()), "alice")
    assert code == 1
    assert found[0].startswith("certificate 1: not-mapped")
    assert found[1:] == told


class Teller(Mapper):
    """Says why, or breaks."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        raise NotImplementedError

    def sees(self, subject: Subject) -> tuple[str, ...]:
        return subject.common_names

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        raise AssertionError("a mapper is asked why, and nothing else")

    def claims(self, subject: Subject, account: str) -> bool:
        raise AssertionError("a mapper is asked why, and nothing else")

    def why(self, subject: Subject, account: str | None) -> tuple[str, ...]:
        if self.broken:
            raise KeyError("x")
        return (f"for {account}", "second line")


def test_every_mapper_is_asked_why_about_each_certificate_that_came_to_mapping() -> None:
    mappers = (LoadedMapper("one", Teller()), LoadedMapper("two", Teller(broken=True)), LoadedMapper("cn", CnMapper.from_table(
        {}, MapperContext("mapper[2]", frozenset({0})))))  # fmt: skip
    found = _why(evidence(), mappers)
    mapped = {ref for ref, known_about in CERTIFICATES.items() if known_about.mapping is not None}
    assert found.keys() == mapped
    assert set(found.values()) == {("one: for alice", "one: second line", "two: cannot say why: 'x'")}
