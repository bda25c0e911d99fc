# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether who signed an OCSP response may answer for the certificate (RFC 6960, sections 2.6, 3.2 and 4.2.2.2).

Three may: the issuer by its very key, the responder that the administrator configured, and a certificate in the
response that this issuer's key issued directly for id-kp-OCSPSigning. Nobody else, however well a path would validate.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from pam_sc.decision.certificate import time_text, weak_hash
from pam_sc.decision.evidence import Situation, Unparsable
from pam_sc.decision.parsing import read_strictly
from pam_sc.decision.policy import Policy, RevocationMode
from pam_sc.record import record
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.ocsp_reading import ReadResponse
from pam_sc.trust.strength import is_signed_by, weak_key, weak_signature

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"

_UNDERSTOOD = frozenset({
    ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.CERTIFICATE_POLICIES, ExtensionOID.OCSP_NO_CHECK,
})  # fmt: skip
"""Extensions of a responder's certificate that may be critical: each is looked at, or limits nothing here."""


@record(kw_only=True)
class SignerQuestion:
    """Whose status is asked for, under which rules, and who else may be asked about a signer."""

    certificate: PathCertificate
    issuers: tuple[PathCertificate, ...]
    """What stands above it on its valid path, its issuer first."""
    responder: PathCertificate | None
    """The one that the administrator configured."""
    policy: Policy
    mode: RevocationMode
    at: datetime.datetime
    judge_signer: Callable[[PathCertificate, tuple[PathCertificate, ...]], Situation]
    """Looks up the revocation of a delegated responder, given what stands above it."""


@record
class SignerVerdict:
    """What is wrong with a signer, and of a right one what keeps its "good" from counting. None: nothing."""

    problem: str | None = None
    doubt: str | None = None


def judge_ocsp_signer(response: ReadResponse, question: SignerQuestion) -> SignerVerdict:
    """Return whether the response is signed by one who may answer. Raises only what `judge_signer` raises.

    Of several certificates that could be the signer's the first right one counts, else the first one's fault is told.
    """
    faults: list[str] = []
    for candidate, judge_right in _candidates(response, question):
        if not _is_meant(candidate, response):
            continue
        problem = judge_right(candidate, question) or _signature_problem(response, candidate)
        doubt = None
        if problem is None and judge_right is _delegate_fault:
            problem, doubt = _revocation(candidate, question)
        if problem is None:
            return SignerVerdict(None, weak_hash(response.signature_hash, question.policy) or doubt)
        faults.append(problem)
    return SignerVerdict(faults[0] if faults else "it names a signer that is neither the issuer nor a responder at hand")


_Right = Callable[[PathCertificate, SignerQuestion], str | None]


def _candidates(response: ReadResponse, question: SignerQuestion) -> Iterator[tuple[PathCertificate, _Right]]:
    """Yield everybody who could have signed, with what says why that one may not. Nothing is believed yet."""
    yield question.issuers[0], lambda _issuer, _question: None  # the path has been judged already
    if question.responder is not None:
        yield question.responder, _configured_fault
    for der in response.certificates:
        delegate = read_path_certificate(der)
        if isinstance(delegate, PathCertificate):
            yield delegate, _delegate_fault


def _is_meant(candidate: PathCertificate, response: ReadResponse) -> bool:
    """Say whether the ResponderID is this one's name or key hash (RFC 6960, section 4.2.1)."""
    if response.responder_key_hash is None:
        return response.responder_name == candidate.subject
    found = read_strictly(lambda: x509.SubjectKeyIdentifier.from_public_key(candidate.parsed.public_key()))
    return not isinstance(found, Unparsable) and found.digest == response.responder_key_hash


def _configured_fault(responder: PathCertificate, question: SignerQuestion) -> str | None:
    """Judge the administrator's own choice: its key and its validity count, and no path (RFC 6960, section 4.2.2.2)."""
    problem = _validity_problem(responder, question.at) or weak_key(responder.parsed, question.policy)
    return None if problem is None else f"the configured responder {responder.text!r}: {problem}"


def _delegate_fault(delegate: PathCertificate, question: SignerQuestion) -> str | None:
    """Judge a certificate out of the response; its issuer's signature comes first, so no stranger's key is used."""
    problem = read_strictly(lambda: _delegate_problem(delegate, question))
    if problem is None:
        return None
    return f"its signer {delegate.text!r} does not count: {problem.why if isinstance(problem, Unparsable) else problem}"


def _revocation(delegate: PathCertificate, question: SignerQuestion) -> tuple[str | None, str | None]:
    """Return problem and doubt of a delegate that did sign (RFC 6960, section 4.2.2.2.1)."""
    if _has_no_check(delegate):
        return None, None
    if delegate.der == question.certificate.der:
        return None, "its signer would speak for itself"
    situation = question.judge_signer(delegate, question.issuers)
    if situation is Situation.REVOKED:
        return f"its signer {delegate.text!r} is revoked", None
    if situation is Situation.GOOD or _is_lax(question.mode, situation):
        return None, None
    return None, f"whether its signer {delegate.text!r} is revoked is not known ({situation.value})"


def _is_lax(mode: RevocationMode, situation: Situation) -> bool:
    return mode is RevocationMode.PREFER or (mode is RevocationMode.NAMED and situation is Situation.NO_SOURCE)


def _delegate_problem(delegate: PathCertificate, question: SignerQuestion) -> str | None:
    """Return why the issuer did not make it a responder, or that it is too weak, None if all is well."""
    issuer = question.issuers[0]
    if delegate.issuer != issuer.subject or not is_signed_by(delegate.parsed, issuer.parsed):
        return "it is not issued by the certificate's issuer"
    if OCSP_SIGNING not in (delegate.extended_key_usage or ()):
        return f"its extendedKeyUsage lacks OCSPSigning {OCSP_SIGNING}"
    return (
        _validity_problem(delegate, question.at)
        or _key_usage_problem(delegate.parsed)
        or _critical_problem(delegate.parsed)
        or weak_key(delegate.parsed, question.policy)
        or weak_signature(delegate.parsed, question.policy)
    )


def _validity_problem(signer: PathCertificate, at: datetime.datetime) -> str | None:
    if at < signer.parsed.not_valid_before_utc:
        return f"it is valid from {time_text(signer.parsed.not_valid_before_utc)}"
    if at > signer.parsed.not_valid_after_utc:
        return f"it expired on {time_text(signer.parsed.not_valid_after_utc)}"
    return None


def _key_usage_problem(signer: x509.Certificate) -> str | None:
    try:
        usage = signer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    allowed = usage.digital_signature or usage.content_commitment
    return None if allowed else "its keyUsage has neither digitalSignature nor nonRepudiation"


def _critical_problem(signer: x509.Certificate) -> str | None:
    for extension in signer.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            return f"it has a critical extension that nobody knows here ({extension.oid.dotted_string})"
    return None


def _has_no_check(signer: PathCertificate) -> bool:
    return any(isinstance(extension.value, x509.OCSPNoCheck) for extension in signer.parsed.extensions)


def _signature_problem(response: ReadResponse, signer: PathCertificate) -> str | None:
    try:
        _verify(response, signer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return f"its signature does not verify with the key of {signer.text!r}"
    return None


def _verify(response: ReadResponse, signer: PathCertificate) -> None:
    key, algorithm = signer.parsed.public_key(), response.hash_algorithm
    match key:
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() if algorithm is None:
            key.verify(response.signature, response.signed)
        case rsa.RSAPublicKey() if algorithm is not None:
            key.verify(response.signature, response.signed, _scheme(response.signature_oid, algorithm), algorithm)
        case ec.EllipticCurvePublicKey() if algorithm is not None:
            key.verify(response.signature, response.signed, ec.ECDSA(algorithm))
        case _:
            raise InvalidSignature


def _scheme(oid: str, algorithm: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if oid == SignatureAlgorithmOID.RSASSA_PSS.dotted_string:
        return padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
    return padding.PKCS1v15()
