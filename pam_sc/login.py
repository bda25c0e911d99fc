# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gathers the evidence that `decide` asks for, one step at a time, and asks it again until it has a verdict.

One gatherer for each numbered step of decide.py. `pam-sc explain` runs this very loop with an observer, so what it says
is what a login does. Nothing here judges; nothing in decide.py reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from pam_sc.card.client import Candidate
from pam_sc.config.model import Configuration
from pam_sc.decision.card_report import (
    CardReport,
    CertificateRef,
    CertificateReport,
    Failure,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.certificate import read_facts
from pam_sc.decision.challenge import NONCE_BYTES, ChallengeBinding, build_challenge, signing_choices
from pam_sc.decision.choosing import Offer
from pam_sc.decision.decide import decide
from pam_sc.decision.evidence import (
    CertificateFacts,
    Evidence,
    MappedAccounts,
    PathFinding,
    RevocationFinding,
    Unparsable,
    ValidPath,
)
from pam_sc.decision.identity import read_subject
from pam_sc.decision.policy import Policy
from pam_sc.decision.possession import Answer, Chosen, Signed
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.request import Account, Purpose, Request
from pam_sc.decision.verdict import Denied, Granted, Needs
from pam_sc.errors import CardIsolationFailed, CardProcessLost, DeadlineExceeded
from pam_sc.mapping import map_certificate
from pam_sc.material import Material
from pam_sc.proving import Prover, pin_rules
from pam_sc.record import replace
from pam_sc.surroundings import Judge, PathTime, Surroundings
from pam_sc.texts import Text
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.choosing import choose_path
from pam_sc.trust.crl import Conditions
from pam_sc.trust.fetching import plan_fetches, why_not_fetched, with_fetched
from pam_sc.trust.path import find_paths
from pam_sc.trust.revocation import find_revocation


class Login:
    """One login: the evidence so far, and the loop that completes it."""

    def __init__(
        self, request: Request, configuration: Configuration, material: Material, surroundings: Surroundings,
        judge: Judge = decide, path_time: PathTime = lambda _facts, at: at,
    ) -> None:
        self._judge = judge
        self._path_time = path_time
        unlocks = request.purpose is Purpose.LOGIN and configuration.unlock.unlocks(request.service, request.login_token)
        self.evidence = Evidence(request=replace(request, purpose=Purpose.UNLOCK) if unlocks else request)
        self.policy = _possible(configuration.policy(), request, surroundings)
        self.material = material
        self._around = surroundings
        self._card_in_use = False
        self._prover = Prover(
            surroundings.card, surroundings.pin, surroundings.tries, pin_rules(configuration.pin), surroundings.deadline
        )
        self._other_paths: dict[CertificateRef, Iterator[PathFinding]] = {}
        self._parsed: dict[bytes, PathCertificate | Unparsable] = {}
        self._gatherers: dict[Step, Callable[[Needs], Evidence]] = {
            Step.REQUEST: self._gather_request,
            Step.TOKEN: self._gather_card,
            Step.SUITABLE: self._gather_facts,
            Step.PATH: self._gather_path,
            Step.REVOCATION: self._gather_revocation,
            Step.MAPPING: self._gather_mapping,
            Step.CANDIDATES: self._gather_choice,
            Step.PIN: self._gather_answer,
            Step.PROOF: self._gather_proof,
        }

    def run(self, until: Step | None = None) -> Granted | Denied | Needs:
        """Gather and decide until there is a verdict; with `until`, stop where that step would have to be gathered.

        Raises only errors that are no refusal: ProtocolError, TrustError and their kin. A card that was asked for
        anything with a PIN is ended when this returns, however it does.
        """
        try:
            while True:
                verdict = self._judge(self.evidence, self.policy, self._around.at)
                if isinstance(verdict, Needs) and verdict.step is Step.PIN and self._finds_no_try_left(verdict):
                    continue
                if not isinstance(verdict, Needs) or (until is not None and verdict.step >= until):
                    return verdict
                self.evidence = self._gatherers[verdict.step](verdict)
        finally:
            self._end_card()

    # ---- 1. the request

    def _gather_request(self, _needs: Needs) -> Evidence:
        request = self.evidence.request
        if self.evidence.locality is None:
            return replace(self.evidence, locality=self._around.locality(request))
        accounts = self._around.accounts
        if request.account is None:
            return replace(self.evidence, requested=accounts.by_uid(request.real_uid))
        return replace(self.evidence, requested=accounts.by_name(request.account))

    # ---- 2. and 3. the card

    def _gather_card(self, needs: Needs) -> Evidence:
        if needs.account is not None:
            return replace(self.evidence, session_cards=self._around.session_cards(self._asked_uid()))
        if needs.wait and self._around.wait is not None:
            return self._wait(needs.wanted, self._around.wait)
        return self._with_card(self._around.card.report)

    def _wait(self, wanted: str, wait: Callable[[str], Answer]) -> Evidence:
        try:
            waited = wait(wanted)
        except (DeadlineExceeded, CardProcessLost) as error:
            return replace(self.evidence, waited=Answer.WAITED, card=_failure(error))
        self.evidence = replace(self.evidence, waited=waited)
        return self._with_card(self._around.card.report_again) if waited is Answer.WAITED else self.evidence

    def read_card(self) -> Evidence:
        """Read the card for a login that was refused before that."""
        self.evidence = self._with_card(self._around.card.report)
        return self.evidence

    def _with_card(self, report: Callable[[float], CardReport]) -> Evidence:
        """Read the card. What was known of certificates before is gone: references are those of one report."""
        card: CardReport | Failure
        try:
            card = report(self._around.deadline())
        except (DeadlineExceeded, CardProcessLost) as error:
            card = _failure(error)
        self._other_paths.clear()
        return replace(self.evidence, card=card, certificates={})

    def _asked_uid(self) -> int:
        if not isinstance(self.evidence.requested, Account):
            raise ValueError("the sessions of an account were asked for that was not looked up")
        return self.evidence.requested.uid

    # ---- 4. to 7. one certificate

    def _require_time(self) -> None:
        """Raise DeadlineExceeded once the time is over: a card may bring more than can be checked in any time.

        Who waits for the shim's own limit has no verdict, and then nobody knows that the card is required.
        """
        if time.monotonic() >= self._around.deadline():
            raise DeadlineExceeded("the certificates on the card took too long to check")

    def _gather_facts(self, needs: Needs) -> Evidence:
        self._require_time()
        ref, report = self._certificate(needs)
        return self.evidence.with_certificate(ref, facts=read_facts(report.der))

    def _gather_path(self, needs: Needs) -> Evidence:
        ref, report = self._certificate(needs)
        at = self._path_time(self._facts(ref), self._around.at)
        paths = find_paths(
            report.der, self._from_card(ref), self.material.trust, self.policy, at, self._require_time
        )
        self._other_paths[ref] = paths
        return self.evidence.with_certificate(ref, path=next(paths))

    def _gather_revocation(self, needs: Needs) -> Evidence:
        self._require_time()
        ref, _report = self._certificate(needs)
        path = self.evidence.about(ref).path
        if not isinstance(path, ValidPath):
            raise ValueError("revocation was asked for a certificate without a path")
        conditions = Conditions(
            trust=self.material.trust,
            others=self._intermediates_from_card(ref),
            policy=self.policy,
            at=self._around.at,
            in_time=self._require_time,
        )
        chosen, found = choose_path(
            path,
            self._other_paths.get(ref, iter(())),
            lambda one: self._look(one, conditions),
            self.policy.revocation.mode,
        )
        return self.evidence.with_certificate(ref, path=chosen, revocation=found)

    def _look(self, path: ValidPath, conditions: Conditions) -> tuple[RevocationFinding, ...]:
        """Look at what is at hand; fetch what is not known, where this login may, and leave word for who fetches later."""
        fetch, sources = self._around.fetch, self.material.revocation
        found = find_revocation(path, sources, conditions)
        wanted = plan_fetches(path, found, sources, self._around.random) if fetch is not None else ()
        if wanted and fetch is not None:
            outcomes = fetch(wanted, self._around.deadline())
            found = find_revocation(path, with_fetched(sources, wanted, outcomes, self._require_time), conditions)
            found = why_not_fetched(found, wanted, outcomes)
        self._around.leave_requests(path)
        return found

    def _gather_mapping(self, needs: Needs) -> Evidence:
        self._require_time()
        if needs.account is not None:
            return self.evidence.with_account(needs.account, self._around.accounts.by_name(needs.account))
        ref, report = self._certificate(needs)
        requested = self.evidence.requested
        name = getattr(requested, "name", None)
        return self.evidence.with_certificate(
            ref, mapping=map_certificate(self.material.mappers, read_subject(report.der), name)
        )

    # ---- 8. the candidates

    def _gather_choice(self, needs: Needs) -> Evidence:
        """Have the person choose between accounts or tokens; of an answer that is no entry only that is kept."""
        if self._around.choose is None:
            raise ValueError("a choice was asked for where nobody can be asked")
        if needs.accounts:
            offers = [Offer(key=name, name=name) for name in needs.accounts]
            answer, key = self._around.choose(Text.CHOOSE_ACCOUNT, offers)
            return replace(self.evidence, chosen_account=Chosen(answer, account=key or None))
        by_key = {str(number): ref for number, ref in enumerate(needs.tokens, 1)}
        answer, key = self._around.choose(
            Text.CHOOSE_TOKEN, [self._offer(key, self._token(ref)) for key, ref in by_key.items()]
        )
        return replace(self.evidence, chosen_token=Chosen(answer, token=by_key.get(key)))

    def _offer(self, key: str, token: TokenReport) -> Offer:
        """Describe a token by the first of its certificates that was accepted."""
        known = [self.evidence.about(report.ref) for report in token.certificates]
        accepted = (each.facts for each in known if isinstance(each.mapping, MappedAccounts) and each.mapping.accounts)
        facts = next((each for each in accepted if isinstance(each, CertificateFacts)), None)
        if facts is None:
            return Offer(key=key, name=token.label)
        return Offer(
            key=key, name=token.label, subject=facts.subject, issuer=facts.issuer, date=f"{facts.not_after:%Y-%m-%d}"
        )

    # ---- 9. the PIN, 10. the proof

    def _finds_no_try_left(self, needs: Needs) -> bool:
        """Look at the wrong PINs that were counted before anybody is asked; it costs nothing."""
        before = self.evidence
        self.evidence = self._prover.look(before, needs, self._token(needs.token))
        return self.evidence is not before

    def _gather_answer(self, needs: Needs) -> Evidence:
        return self._prover.get_pin(self.evidence, needs, self._token(needs.token))

    def _gather_proof(self, needs: Needs) -> Evidence:
        token = self._token(needs.token)
        self._card_in_use = True
        if not needs.candidates:
            return self._prover.open(self.evidence, needs, token)
        challenges = {ref: self._challenge(ref, needs.account or "") for ref in needs.candidates}
        candidates = tuple(self._candidate(ref, challenges[ref], token) for ref in challenges)
        evidence = self._prover.sign(self.evidence, needs, token, candidates)
        if isinstance(evidence.attempts[-1].outcome, Signed):
            self._end_card()  # before the signature is checked: nobody else is to find the card open
        return replace(evidence, challenges=challenges)

    def _end_card(self) -> None:
        """End the card's verification and the card process, once, if it was asked for anything with a PIN."""
        if self._card_in_use:
            self._card_in_use = False
            self._around.end_card()

    def _challenge(self, ref: CertificateRef, account: str) -> bytes:
        request = self.evidence.request
        return build_challenge(
            ChallengeBinding(
                purpose=request.purpose,
                nonce=self._around.random(NONCE_BYTES),
                leaf_sha256=self._facts(ref).sha256,
                machine_id=self._around.machine_id(),
                boot_id=self._around.boot_id(),
                service=request.service,
                account=account,
            )
        )

    def _candidate(self, ref: CertificateRef, challenge: bytes, token: TokenReport) -> Candidate:
        facts = self._facts(ref)
        usage = facts.key_usage
        return Candidate(
            certificate=next(report for report in token.certificates if report.ref == ref),
            public_key_der=facts.public_key_der,
            choices=signing_choices(facts, token.mechanisms, challenge),
            context_login=usage is None or "digitalSignature" in usage,
        )

    # ---- looking things up in the evidence

    def _from_card(self, ref: CertificateRef) -> list[bytes]:
        """The other certificates on the card: they may be intermediates."""
        return [other.der for other in self._certificates() if other.ref != ref and other.failure is None]

    def _intermediates_from_card(self, ref: CertificateRef) -> tuple[PathCertificate, ...]:
        for der in self._from_card(ref):
            if der not in self._parsed:
                self._require_time()
                self._parsed[der] = read_path_certificate(der)
        found = (self._parsed[der] for der in self._from_card(ref))
        return tuple(each for each in found if isinstance(each, PathCertificate))

    def _facts(self, ref: CertificateRef) -> CertificateFacts:
        facts = self.evidence.about(ref).facts
        if not isinstance(facts, CertificateFacts):
            raise ValueError("a candidate without facts")
        return facts

    def _certificates(self) -> list[CertificateReport]:
        if not isinstance(self.evidence.card, CardReport):
            return []
        return [certificate for _m, _s, token in self.evidence.card.tokens() for certificate in token.certificates]

    def _certificate(self, needs: Needs) -> tuple[CertificateRef, CertificateReport]:
        for report in self._certificates():
            if report.ref == needs.certificate:
                return report.ref, report
        raise ValueError("a step was asked about a certificate that was never reported")

    def _token(self, ref: TokenRef) -> TokenReport:
        if isinstance(self.evidence.card, CardReport):
            for _module, _slot, token in self.evidence.card.tokens():
                if token.ref == ref:
                    return token
        raise ValueError("a step was asked about a token that was never reported")


def _possible(policy: Policy, request: Request, around: Surroundings) -> Policy:
    """The policy without what cannot be done here: waiting, asking."""
    wait_s = policy.wait_s if around.wait is not None else 0
    return replace(policy, wait_s=wait_s, choose=policy.choose and around.choose is not None and not request.use_first_pass)


def _failure(error: DeadlineExceeded | CardProcessLost) -> Failure:
    """Say why nothing is known of the card."""
    match error:
        case CardIsolationFailed():
            return Failure(Reason.ISOLATION_FAILED, str(error))
        case DeadlineExceeded():
            return Failure(Reason.CARD_TIMEOUT, str(error))
        case _:
            return Failure(Reason.CARD_PROCESS_LOST, str(error))
