# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the CRLs at hand say about one certificate of a valid path (RFC 5280, section 6.3.3).

A CRL counts only if somebody signed it who may: the very issuer in this path, or a certificate of the CRL issuer's name
with its own valid path to the same anchor (6.3.3 (f)), the right to sign CRLs, and not revoked itself. All of that is
found out anew at each login, under today's anchors. What the CRLs that count then say together is decided in
decision/crl_status.py. No CRL is fetched here.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from cryptography import x509

from pam_sc.decision.certificate import weak_hash
from pam_sc.decision.crl import CrlFacts, CrlTarget, covered_reasons
from pam_sc.decision.crl_status import judge_crls
from pam_sc.decision.evidence import Situation, SourceAnswer, Unparsable
from pam_sc.decision.names import NameKey, name_key
from pam_sc.decision.parsing import read_extension, read_strictly
from pam_sc.decision.policy import Policy, RevocationRules, RevocationSource
from pam_sc.decision.revocation import OUTCOMES
from pam_sc.errors import StoreError
from pam_sc.record import field, record, replace
from pam_sc.trust.anchors import PathCertificate, Trust
from pam_sc.trust.locations import distribution_points
from pam_sc.trust.path import find_issuer_paths
from pam_sc.trust.sources import Crl, CrlSet

Members = tuple[PathCertificate, ...]
"""What stands above a certificate on its path: its issuer first, the anchor last."""
JudgeSigner = Callable[[PathCertificate, Members], Situation]
"""Says what is known about the revocation of a signer's certificate, or of one above it, on a path of its own."""

PATHS_MAX = 32
"""Paths of one signer that are looked at."""
SIGNERS_MAX = 50
"""Certificates of a CRL issuer's name that are tried for one CRL."""


@record(kw_only=True)
class Conditions:
    """What a lookup needs beside the certificate: under which anchors, with which intermediates, when, how strictly."""

    trust: Trust
    others: Members = ()
    """Intermediates beyond the configured ones: those of the card."""
    policy: Policy
    at: datetime.datetime
    in_time: Callable[[], None] = lambda: None
    """Called before each piece of work; what it raises comes through."""
    known_paths: dict[tuple[bytes, ...], tuple[Members, ...]] = field(default_factory=dict, compare=False, repr=False)
    """The paths of signers found so far: many CRLs may come from one, and many certificates may be of one name."""


@record(kw_only=True)
class _Question:
    """What is asked about one certificate: of every CRL the same."""

    target: CrlTarget
    issuers: Members
    around: Conditions
    rules: RevocationRules
    judge_signer: JudgeSigner


@record
class _NoSigner:
    """Why nobody is found who may have signed a CRL."""

    why: str


def ask_crls(
    certificate: PathCertificate,
    issuers: Members,
    crls: Sequence[CrlSet],
    around: Conditions,
    rules: RevocationRules,
    judge_signer: JudgeSigner,
) -> SourceAnswer | None:
    """Return what the CRLs say about a certificate with a valid path; None if none of its issuer is at hand."""
    target = read_strictly(lambda: _target(certificate))
    if isinstance(target, Unparsable):
        return _answer(Situation.UNKNOWN, f"its distribution points cannot be read: {target.why}")
    found = list(_at_hand(target, crls))
    if not found:
        return None
    question = _Question(target=target, issuers=issuers, around=around, rules=rules, judge_signer=judge_signer)
    facts = [_facts(crl, question) for crl in found]
    judged = judge_crls(target, facts, around.at, rules.clock_skew)
    header = judged.header
    return SourceAnswer(
        kind=RevocationSource.CRL,
        situation=judged.situation,
        detail=judged.detail,
        source=header.source if header else None,
        as_of=header.this_update if header else None,
        next_update=header.next_update if header else None,
        reason=judged.reason,
    )


def _answer(situation: Situation, detail: str) -> SourceAnswer:
    return SourceAnswer(kind=RevocationSource.CRL, situation=situation, detail=detail)


def _target(certificate: PathCertificate) -> CrlTarget:
    constraints = read_extension(certificate.parsed, x509.BasicConstraints)
    return CrlTarget(
        issuer=name_key(certificate.parsed.issuer),
        serial=certificate.parsed.serial_number,
        is_ca=constraints is not None and constraints.ca,
        points=distribution_points(certificate.parsed),
    )


def _at_hand(target: CrlTarget, crls: Sequence[CrlSet]) -> Iterator[Crl]:
    for issuer in sorted(target.crl_issuers):
        for each in crls:
            yield from each.of_issuer(issuer)


def _facts(crl: Crl, question: _Question) -> CrlFacts:
    """Return the facts about one CRL; the cheap reasons why it does not count are looked for first."""
    header, target = crl.header, question.target
    if header.unusable is not None:
        return CrlFacts(header=header, signer=None, problem=header.unusable)
    if not covered_reasons(target, header):
        return CrlFacts(header=header, signer=None, problem="its scope does not cover this certificate")
    try:
        signer = _signer(crl, question)
        if isinstance(signer, _NoSigner):
            return CrlFacts(header=header, signer=None, problem=signer.why)
        weak = weak_hash(header.signature_hash, question.around.policy)
        entry = crl.entry(target.issuer, target.serial)
        return CrlFacts(header=header, signer=signer.public_key, weak=weak, entry=entry)
    except StoreError as error:
        return CrlFacts(header=header, signer=None, problem=str(error))


def _signer(crl: Crl, question: _Question) -> PathCertificate | _NoSigner:
    """Return who signed it and may: the issuer in the path itself needs no further path."""
    issuers, around = question.issuers, question.around
    direct = crl.header.issuer == question.target.issuer
    if direct and crl.is_signed_by(issuers[0]) and may_sign_crls(issuers[0].parsed):
        return issuers[0]
    problem = _NoSigner("nobody of its issuer's name with a path to the same anchor has signed it")
    same_anchor = replace(around.trust, anchors=(issuers[-1],))
    for candidate in _signers(crl, same_anchor, (*issuers, *around.others), around):
        if not may_sign_crls(candidate.parsed):
            problem = _NoSigner("its issuer's keyUsage does not allow to sign CRLs")
            continue
        for path in _paths(candidate, same_anchor, issuers, around):
            if direct and _names(path) != _names(issuers):
                problem = _NoSigner("its issuer has another path of names than the certificate's issuer")
                continue
            unknown = _revocation_problem(path, question.rules, question.judge_signer)
            if unknown is None:
                return candidate
            problem = unknown
    return problem


def _paths(candidate: PathCertificate, trust: Trust, issuers: Members, around: Conditions) -> tuple[Members, ...]:
    """Return the valid paths of a signer, at most PATHS_MAX, each found once."""
    key = (candidate.sha256, *(each.sha256 for each in issuers))
    if key not in around.known_paths:
        found = find_issuer_paths(
            candidate, trust, around.policy, around.at, (*issuers, *around.others), around.in_time
        )  # fmt: skip
        around.known_paths[key] = tuple(islice(found, PATHS_MAX))
    return around.known_paths[key]


def _signers(crl: Crl, trust: Trust, others: Members, around: Conditions) -> Iterator[PathCertificate]:
    """Yield the certificates of the CRL issuer's name whose key made its signature."""
    tried = 0
    for candidate in dict.fromkeys((*trust.anchors, *trust.intermediates, *others)):
        if name_key(candidate.parsed.subject) != crl.header.issuer or tried >= SIGNERS_MAX:
            continue
        tried += 1
        around.in_time()
        if crl.is_signed_by(candidate):
            yield candidate


def _names(path: Members) -> list[NameKey]:
    """The names from a CA up to its anchor, self-issued certificates left out.

    Whoever has some CA under the same anchor can name it as he likes, but not its issuers: a CRL that is issued
    directly comes from a CA at the very same place.
    """
    names = [name_key(each.parsed.subject) for each in path]
    return [name for index, name in enumerate(names) if index == 0 or name != names[index - 1]]


def _revocation_problem(path: Members, rules: RevocationRules, judge_signer: JudgeSigner) -> _NoSigner | None:
    """Return why the signer's own path does not count, as strictly as the rules are; None if it does."""
    for index in range(len(path) - 1):
        situation = judge_signer(path[index], path[index + 1 :])
        if OUTCOMES[rules.mode][situation] is not None:
            return _NoSigner(f"the revocation of its signer's path is {situation.value!r} ({path[index].text!r})")
    return None


def find_crl_signer(
    crl: Crl,
    trust: Trust,
    policy: Policy,
    at: datetime.datetime,
    others: Sequence[PathCertificate] = (),
) -> PathCertificate | str:
    """Return a CA that may have signed the CRL, with a path that is valid today; else why there is none.

    For who stores CRLs: neither the signer's own revocation nor the scope is looked at, both are at each login.
    """
    around = Conditions(trust=trust, others=tuple(others), policy=policy, at=at)
    problem = f"no certificate of {crl.header.issuer_text!r} at hand has signed it"
    if crl.header.unusable is not None:
        return crl.header.unusable
    weak = weak_hash(crl.header.signature_hash, policy)
    if weak is not None:
        return weak
    for candidate in _signers(crl, trust, tuple(others), around):
        if not may_sign_crls(candidate.parsed):
            problem = f"the keyUsage of {candidate.text!r} does not allow to sign CRLs"
        elif any(True for _path in find_issuer_paths(candidate, trust, policy, at, tuple(others))):
            return candidate
        else:
            problem = f"{candidate.text!r} has signed it, but has no valid path to a trust anchor"
    return problem


def may_sign_crls(certificate: x509.Certificate) -> bool:
    """Say whether keyUsage allows it (RFC 5280, section 6.3.3 (f)): where it is absent, everything is allowed."""
    usage = read_strictly(lambda: read_extension(certificate, x509.KeyUsage))
    return not isinstance(usage, Unparsable) and (usage is None or usage.crl_sign)
