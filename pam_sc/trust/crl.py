# SPDX-License-Identifier: LGPL-2.1-or-later
"""CRLs from files, and what they say about each certificate of a path that is already valid (RFC 5280, section 6.3).

A CRL counts only if OpenSSL accepts it for the certificate: signed by the issuer's key in this very path, with the
right to sign CRLs, complete for the certificate and current. Each CRL is asked alone, so a forged one never hides a
genuine one; of several that count the newest one speaks. What a genuine but stale CRL lists is still revoked. No CRL is
fetched, and "unknown" is told as such: what it means is decided in decision/revocation.py.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from pam_sc.decision.certificate import time_text
from pam_sc.decision.evidence import RevocationFinding, RevocationStatus, Situation, Unparsable, ValidPath
from pam_sc.decision.names import CanonicalName, canonical_name
from pam_sc.decision.parsing import name_text, read_strictly
from pam_sc.decision.policy import Policy
from pam_sc.record import field, record
from pam_sc.trust import openssl
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.files import CRLS, read_files
from pam_sc.trust.openssl import CRL_CHECK, NO_CHECK_TIME, USE_DELTAS, ask_openssl
from pam_sc.trust.strength import weak_signature


@record(kw_only=True)
class LoadedCrl:
    """One CRL and the file it came from."""

    path: str
    parsed: x509.CertificateRevocationList = field(repr=False)
    issuer: CanonicalName
    this_update: datetime.datetime
    next_update: datetime.datetime | None
    number: int | None
    """cRLNumber."""
    base_number: int | None
    """Of a delta, the number of the complete CRL that it continues."""
    scoped: bool
    """It has an issuingDistributionPoint: it may be complete for some certificates only."""

    @property
    def is_delta(self) -> bool:
        """It lists only what changed."""
        return self.base_number is not None


@record(kw_only=True)
class CrlSource:
    """The configured CRLs by their issuer's name."""

    by_issuer: Mapping[CanonicalName, tuple[LoadedCrl, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """Files that are no source because they cannot be parsed, a sentence each."""


@record
class _Question:
    """The certificate asked about, followed by its issuers up to the anchor; when; and how strong a CRL must be."""

    members: tuple[bytes, ...]
    at: datetime.datetime
    policy: Policy


@record
class _Answer:
    """What one CRL says about one certificate."""

    status: RevocationStatus
    detail: str
    this_update: datetime.datetime


def load_crls(path: str | None, trusted_uids: frozenset[int]) -> CrlSource:
    """Read every CRL of a file or folder; TrustError if it is missing or unsafe. No path: an empty source."""
    found: dict[bytes, LoadedCrl] = {}
    problems: list[str] = []
    for content in read_files(path, CRLS, trusted_uids) if path is not None else ():
        crls = [(der, _read_crl(der, content.path)) for der in content.values]
        broken = [each.why for _der, each in crls if isinstance(each, Unparsable)]
        if content.problem is not None:
            problems.append(content.problem)
        elif broken:
            problems.append(f"{content.path!r} holds a CRL that cannot be parsed: {broken[0]}")
        else:
            found |= {der: each for der, each in crls if isinstance(each, LoadedCrl) and der not in found}
    return CrlSource(by_issuer=_by_issuer(found.values()), problems=tuple(problems))


def _by_issuer(crls: Iterable[LoadedCrl]) -> dict[CanonicalName, tuple[LoadedCrl, ...]]:
    found: dict[CanonicalName, tuple[LoadedCrl, ...]] = {}
    for crl in crls:
        found[crl.issuer] = (*found.get(crl.issuer, ()), crl)
    return found


def _read_crl(der: bytes, path: str) -> LoadedCrl | Unparsable:
    return read_strictly(lambda: _loaded(x509.load_der_x509_crl(der), path))


def _loaded(crl: x509.CertificateRevocationList, path: str) -> LoadedCrl:
    values = {extension.oid: extension.value for extension in crl.extensions}
    number, base = values.get(x509.CRLNumber.oid), values.get(x509.DeltaCRLIndicator.oid)
    return LoadedCrl(
        path=path,
        parsed=crl,
        issuer=canonical_name(crl.issuer),
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        number=number.crl_number if isinstance(number, x509.CRLNumber) else None,
        base_number=base.crl_number if isinstance(base, x509.DeltaCRLIndicator) else None,
        scoped=x509.IssuingDistributionPoint.oid in values,
    )


def find_revocation(
    path: ValidPath, crls: CrlSource, at: datetime.datetime, policy: Policy | None = None
) -> tuple[RevocationFinding, ...]:
    """Return what is known about each certificate of a valid path but the anchor, leaf first. Never raises."""
    rules = policy or Policy()
    last = len(path.certificates) - 1
    questions = [_Question(path.certificates[index:], at, rules) for index in range(last)]
    return tuple(_find(question, path.subjects[index], crls) for index, question in enumerate(questions))


def _find(question: _Question, subject: str, crls: CrlSource) -> RevocationFinding:
    certificate = read_path_certificate(question.members[0])
    if isinstance(certificate, Unparsable):
        return RevocationFinding(
            subject=subject, situation=Situation.UNKNOWN, detail=certificate.why
        )
    at_hand = crls.by_issuer.get(certificate.issuer, ())
    status, detail = _combined([_ask(question, crl, at_hand) for crl in at_hand], certificate)
    named = bool(at_hand) or names_source(certificate.parsed)
    situation = Situation(status.value) if at_hand or status is not RevocationStatus.UNKNOWN else None
    situation = situation or (Situation.NOT_AT_HAND if named else Situation.NO_SOURCE)
    return RevocationFinding(subject=subject, situation=situation, detail=detail)


def _combined(answers: Sequence[_Answer], certificate: PathCertificate) -> tuple[RevocationStatus, str]:
    """The newest CRL that counts speaks; of two of the same moment the one that refuses does."""
    if not answers:
        issuer = name_text(certificate.parsed.issuer)
        return RevocationStatus.UNKNOWN, f"no CRL of {issuer!r} is at hand"
    definite = [answer for answer in answers if answer.status is not RevocationStatus.UNKNOWN]
    if not definite:
        return RevocationStatus.UNKNOWN, "; ".join(answer.detail for answer in answers[:4])
    newest = max(definite, key=lambda each: (each.this_update, each.status is RevocationStatus.REVOKED))
    return newest.status, newest.detail


def _ask(question: _Question, crl: LoadedCrl, at_hand: Sequence[LoadedCrl]) -> _Answer:
    """Ask one complete CRL together with the newest delta to it that counts, else alone.

    Of several deltas OpenSSL takes the first that fits, even a forged or stale one, so it gets each by itself.
    """
    deltas = [] if crl.is_delta else [each for each in at_hand if _continues(each, crl)]
    for delta in sorted(deltas, key=lambda each: (each.number or 0, each.this_update), reverse=True):
        answer = _ask_with(question, crl, delta)
        if answer.status is not RevocationStatus.UNKNOWN:
            return answer
    return _ask_with(question, crl, None)


def _continues(delta: LoadedCrl, complete: LoadedCrl) -> bool:
    """Say whether it is a delta to this complete CRL, by their numbers (RFC 5280, section 5.2.4)."""
    if delta.base_number is None or delta.number is None or complete.number is None:
        return False
    return delta.base_number <= complete.number < delta.number


def _ask_with(question: _Question, crl: LoadedCrl, delta: LoadedCrl | None) -> _Answer:
    flags, crls = CRL_CHECK | (USE_DELTAS if delta else 0), [*([delta.parsed] if delta else []), crl.parsed]
    answer = ask_openssl(question.members, question.at, flags=flags, crls=crls)
    about = f"CRL {crl.path!r} of {time_text(crl.this_update)}"
    if answer.code == openssl.CRL_HAS_EXPIRED:
        timeless = ask_openssl(question.members, question.at, flags=flags | NO_CHECK_TIME, crls=crls)
        if timeless.code == openssl.CERT_REVOKED:
            return _Answer(RevocationStatus.REVOKED, f"{about} lists it, though it is stale", crl.this_update)
    if answer.code == openssl.CERT_REVOKED:
        return _Answer(RevocationStatus.REVOKED, f"{about} lists it", crl.this_update)
    problem = _problem(crl, answer, question.policy)
    if problem is not None:
        return _Answer(RevocationStatus.UNKNOWN, f"{about} does not count: {problem}", crl.this_update)
    return _Answer(RevocationStatus.GOOD, f"{about} does not list it", crl.this_update)


def _problem(crl: LoadedCrl, answer: openssl.OpenSslAnswer, policy: Policy) -> str | None:
    """Return why the CRL does not count, None if it does."""
    if answer.code == openssl.OK:
        if crl.next_update is None:
            return "it has no nextUpdate, so it could be of any age"
        return weak_signature(crl.parsed, policy)
    match answer.code:
        case openssl.CRL_HAS_EXPIRED:
            return f"it expired on {time_text(crl.next_update or crl.this_update)}"
        case openssl.CRL_NOT_YET_VALID:
            return f"it is from the future, valid from {time_text(crl.this_update)}"
        case openssl.CRL_SIGNATURE_FAILURE:
            return "its signature is not by the key of the issuer in this path"
        case openssl.UNABLE_TO_GET_CRL | openssl.CRL_OTHER_SCOPE | openssl.CRL_ISSUER_NOT_FOUND:
            return _scope_problem(crl, answer)
        case _:
            return answer.text


def _scope_problem(crl: LoadedCrl, answer: openssl.OpenSslAnswer) -> str:
    if crl.is_delta:
        return "it is a delta CRL, and no complete one to it counts"
    if crl.scoped:
        return "its scope does not cover this certificate completely"
    return f"it names another key than the issuer's in this path ({answer.text})"


def names_source(certificate: x509.Certificate) -> bool:
    """Say whether the certificate names a CRL distribution point or an OCSP responder."""
    found = read_strictly(lambda: _names_source(certificate))
    return True if isinstance(found, Unparsable) else found


def _names_source(certificate: x509.Certificate) -> bool:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.CRLDistributionPoints):
            return True
        if isinstance(extension.value, x509.AuthorityInformationAccess) and any(
            way.access_method == AuthorityInformationAccessOID.OCSP for way in extension.value
        ):
            return True
    return False
