# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run a login for its explanation: the loop of login.py, with a card process of one's own and nobody to grant to.

What is read is read as a login reads it: by root, the card as the account [token] run_as and everything else as the
account pam_sc; by anybody else, as that user. The request's purpose is "explain", so no signature made here is a login.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from pam_sc.card.client import OpenOrder, SignOrder, StartedCardProcess
from pam_sc.children import StartedChild
from pam_sc.choices import prompt_of
from pam_sc.cli.inspection import Inspection
from pam_sc.cli.pin_entry import Ask, counting, pin_entry
from pam_sc.cli.steps import Rehearsal
from pam_sc.config.model import VERIFIER_ACCOUNT, Configuration
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    ModuleReport,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.choosing import Offer
from pam_sc.decision.evidence import CertificateFacts, Evidence, MappedAccounts
from pam_sc.decision.home_files import why_not_believed
from pam_sc.decision.identity import Subject, read_subject
from pam_sc.decision.policy import Members, UnlockRules
from pam_sc.decision.possession import Answer, CardFailure, NotSigned
from pam_sc.decision.reasons import Step
from pam_sc.decision.request import AccountLookup, Purpose, Request
from pam_sc.errors import MapperError, PamScError
from pam_sc.events import clean
from pam_sc.homes import HomeFiles, started_home_reader
from pam_sc.host import PwdAccounts, PwdPeople
from pam_sc.identity import acting_as, find_identity
from pam_sc.login import Login
from pam_sc.mapping import LoadedMapper
from pam_sc.material import Material, load_material
from pam_sc.network.client import NetworkClient, start_network_process
from pam_sc.network.directory import NetworkDirectory
from pam_sc.online import fetch_wanted
from pam_sc.own_card import end_card, own_card_process
from pam_sc.preparation import asks_directory, prepare
from pam_sc.programs.client import ProgramsClient, start_program_runner
from pam_sc.programs.messages import Setup
from pam_sc.record import replace
from pam_sc.services import Services
from pam_sc.session import parse_session_cards, read_session_files
from pam_sc.surroundings import Surroundings
from pam_sc.texts import Text, Texts

MACHINE_TIME_S = 30.0


def rehearse(
    request: Request, configuration: Configuration, worker: str, trusted_uids: frozenset[int], *, ask: Ask | None
) -> Rehearsal:
    """Run a login; without `ask`, stop before the PIN."""
    return _run(request, configuration, worker, trusted_uids, ask)[0]


def inspect_everything(
    configuration: Configuration, worker: str, trusted_uids: frozenset[int], certificate: bytes | None = None
) -> Inspection:
    """Judge every certificate on every token, as if the card named the account in a login at this machine.

    With `certificate` (DER) no card is read: that one is judged as if it were on a token that the configuration selects.
    """
    request = Request(
        service="login", account=None, real_uid=0, effective_uid=0, saved_uid=0, purpose=Purpose.EXPLAIN
    )  # fmt: skip
    rehearsal, material = _run(request, _without_limits(configuration), worker, trusted_uids, None, certificate)
    subjects = _subjects(rehearsal.evidence)
    return Inspection(
        rehearsal=rehearsal,
        policy=configuration.policy() if certificate is None else replace(configuration.policy(), select=None),
        sees={key: tuple(_sees(mapper, subject) for mapper in material.mappers) for key, subject in subjects.items()},
        unusable={key: subject.unusable for key, subject in subjects.items()},
        accounts=_look_up_mapped(rehearsal.evidence),
        problems=material.problems,
    )


def _without_limits(configuration: Configuration) -> Configuration:
    """The configuration without what limits requests and tokens, so that every certificate is judged."""
    account = replace(
        configuration.account, services=None, remote_allowed=True, card_names_user=frozenset({"login"}), allow_root=True,
        must_use=Members(), may_use=None, must_not_use=Members(),
    )  # fmt: skip
    return replace(
        configuration, account=account, token=replace(configuration.token, select=None),
        certificate=replace(configuration.certificate, select=None), unlock=UnlockRules(),
        prompt=replace(configuration.prompt, choose=False),
    )  # fmt: skip


def _run(
    request: Request, configuration: Configuration, worker: str, trusted_uids: frozenset[int], ask: Ask | None,
    certificate: bytes | None = None,
) -> tuple[Rehearsal, Material]:
    at = datetime.datetime.now(datetime.UTC)
    tries = counting(configuration)
    sessions = read_session_files()  # as a login does: still as root
    with (
        _card_process(configuration, worker, certificate) as card,
        _network(configuration, worker) as network,
        _services(request, configuration, worker, trusted_uids) as services,
        acting_as(find_identity(VERIFIER_ACCOUNT)) as stop_acting,
    ):
        material = load_material(configuration, trusted_uids, services)
        surroundings = Surroundings(
            choose=partial(_choose, ask),
            session_cards=partial(parse_session_cards, sessions),
            card=_GivenCertificate(certificate or b"") if card is None else card.client,
            pin=pin_entry(card, configuration, ask),
            tries=tries,
            end_card=lambda: None if card is None else end_card(card, stop_acting),
            deadline=_deadline,
            at=at,
            accounts=PwdAccounts(),
            fetch=partial(fetch_wanted, network) if network and configuration.revocation.fetches_at_login else None,
        )
        login = Login(request, configuration, material, surroundings)
        verdict = login.run(until=None if ask else Step.CANDIDATES)
        with acting_as(find_identity(VERIFIER_ACCOUNT)):  # again: with a PIN the card process was ended as root
            why = _why(login.evidence, material.mappers)
    return (
        Rehearsal(
            evidence=login.evidence, policy=login.policy, at=at, verdict=verdict, problems=material.problems,
            why=why,
        ),
        material,
    )


def _deadline() -> float:
    return time.monotonic() + MACHINE_TIME_S


# ---------------------------------------------------------------- the card process


@contextmanager
def _card_process(
    configuration: Configuration, worker: str, certificate: bytes | None
) -> Iterator[StartedCardProcess | None]:
    """Start the card process and have it become its account; it is dead when the block is left. None for a given one."""
    if certificate is not None:
        yield None
        return
    with own_card_process(configuration, worker, _deadline()) as card:
        yield card


class _GivenCertificate:
    """A certificate in place of a card; it has no key."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def report(self, _deadline: float) -> CardReport:
        """The certificate, alone on a token."""
        ref = TokenRef(0, 0)
        report = CertificateReport(ref=CertificateRef(ref, 0), der=self._der)
        slot = SlotReport(slot_id=0, token=TokenReport(ref=ref, label="", certificates=(report,)))
        return CardReport((ModuleReport(index=0, path="", slots=(slot,)),))

    def report_again(self, deadline: float) -> CardReport:
        """The same: it does not change."""
        return self.report(deadline)

    def sign(self, _order: SignOrder, _deadline: float, _cancel_fd: int | None = None) -> NotSigned:
        """Nothing to sign with."""
        return NotSigned(CardFailure.NO_PRIVATE_KEY, "there is no card")

    def open(self, _order: OpenOrder, _deadline: float, _cancel_fd: int | None = None) -> NotSigned:
        """Nothing to open."""
        return NotSigned(CardFailure.TOKEN_REMOVED, "there is no card")


@contextmanager
def _network(configuration: Configuration, worker: str) -> Iterator[NetworkClient | None]:
    """Start the network process that fetches where a login would; None where no login does."""
    if not configuration.revocation.fetches_at_login:
        yield None
        return
    with _network_process(worker) as network:
        yield network.client


def _network_process(worker: str) -> StartedChild[NetworkClient]:
    try:
        return start_network_process(worker)
    except OSError as error:
        raise PamScError(f"cannot start the network process: {worker}: {error.strerror}") from error


# ---------------------------------------------------------------- whom the mappers may ask


@contextmanager
def _services(
    request: Request, configuration: Configuration, worker: str, trusted_uids: frozenset[int]
) -> Iterator[Services]:
    """Start what a login would start for its mappers; as root, and ended when the block is left."""
    prepared = prepare(configuration, request, trusted_uids)
    privileged = configuration.account.privileged_services
    own: dict[str, Any] = {"people": PwdPeople(), "why_not_believed": partial(why_not_believed, request, privileged)}
    with ExitStack() as started:
        if asks_directory(configuration):
            directory = started.enter_context(_network_process(worker)).client
            own["directory"] = NetworkDirectory(lambda: directory, _deadline)
        if prepared.programs is not None:
            own["programs"] = started.enter_context(_program_runner(worker, prepared.programs)).client
        if prepared.homes is not None:
            reader = None
            if prepared.homes.order is not None:
                reader = started.enter_context(started_home_reader(worker, prepared.homes.order, _deadline))
            own["homes"] = HomeFiles(request, privileged, reader, may_scan=prepared.homes.may_scan)
        yield Services(secrets=prepared.secrets, unreadable=prepared.unreadable, **own)


def _program_runner(worker: str, setup: Setup) -> StartedChild[ProgramsClient]:
    try:
        return start_program_runner(worker, setup, _deadline)
    except OSError as error:
        raise PamScError(f"cannot start the program runner: {worker}: {error.strerror}") from error


def _choose(ask: Ask | None, question: Text, offers: Sequence[Offer]) -> tuple[Answer, str]:
    """Ask as a login does; the answer is not shown, which does no harm."""
    if ask is None:
        return Answer.NOT_GIVEN, ""
    key = ask(clean(prompt_of(Texts().say(question), offers))).strip()
    return (Answer.ANSWERED if key else Answer.EMPTY), key if any(key == offer.key for offer in offers) else ""


# ---------------------------------------------------------------- what the mappers say


def _why(evidence: Evidence, mappers: Sequence[LoadedMapper]) -> dict[CertificateRef, tuple[str, ...]]:
    """Ask every mapper about each certificate that came as far as mapping."""
    account = getattr(evidence.requested, "name", None)
    tokens = evidence.card.tokens() if isinstance(evidence.card, CardReport) else ()
    reports = [report for _module, _slot, token in tokens for report in token.certificates]
    return {
        report.ref: tuple(line for each in mappers for line in _why_of(each, read_subject(report.der), account))
        for report in reports
        if evidence.about(report.ref).mapping is not None
    }


def _why_of(loaded: LoadedMapper, subject: Subject, account: str | None) -> tuple[str, ...]:
    try:
        return tuple(f"{loaded.name}: {line}" for line in loaded.mapper.why(subject, account))
    except Exception as error:  # noqa: BLE001 - a third party's code
        return (f"{loaded.name}: cannot say why: {error}",)



# ---------------------------------------------------------------- for inspect


def _subjects(evidence: Evidence) -> dict[bytes, Subject]:
    """What each certificate that could be parsed says about its owner, by the certificate's SHA-256."""
    tokens = evidence.card.tokens() if isinstance(evidence.card, CardReport) else ()
    reports = [report for _module, _slot, token in tokens for report in token.certificates]
    known = [(evidence.about(report.ref).facts, report) for report in reports]
    return {facts.sha256: read_subject(report.der) for facts, report in known if isinstance(facts, CertificateFacts)}


def _sees(loaded: LoadedMapper, subject: Subject) -> tuple[str, tuple[str, ...]]:
    try:
        return loaded.name, loaded.mapper.sees(subject)
    except MapperError as error:
        return loaded.name, (str(error),)


def _look_up_mapped(evidence: Evidence) -> dict[str, AccountLookup]:
    mappings = [known.mapping for known in evidence.certificates.values()]
    names = {name for mapping in mappings if isinstance(mapping, MappedAccounts) for name in mapping.accounts}
    return {name: PwdAccounts().by_name(name) for name in names}
