# SPDX-License-Identifier: LGPL-2.1-or-later
"""OCSP for one certificate of a valid path: the request to send, and what the responses at hand come to (RFC 6960).

Turns bytes into a `SourceAnswer` and opens no file and no connection. No response is believed because of where it came
from: each is checked alone, whenever it is asked, so a forged one never hides a genuine one. A login without responses
to look at never imports the library's OCSP part.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

from cryptography import x509

from pam_sc.decision.certificate import time_text
from pam_sc.decision.digest import sha256
from pam_sc.decision.evidence import Situation, SourceAnswer, Unparsable
from pam_sc.decision.names import name_key
from pam_sc.decision.ocsp import SUCCESSFUL, NonceVerdict, OcspFacts, OcspJudgement, judge_ocsp, weight
from pam_sc.decision.parsing import clean, read_strictly
from pam_sc.decision.policy import Policy, RevocationRules, RevocationSource
from pam_sc.errors import TrustError
from pam_sc.record import record
from pam_sc.trust.anchors import PathCertificate
from pam_sc.trust.ocsp_reading import HASHES, ReadResponse, read_response
from pam_sc.trust.ocsp_signer import SignerQuestion, SignerVerdict, judge_ocsp_signer
from pam_sc.trust.sources import OcspMessage

NONCE_BYTES = 32
"""RFC 9654, section 2.1: what a client should send."""

_DETAILS_MAX = 4


@record(kw_only=True)
class AnswerLifetime:
    """About which certificate a response is, and from when until when it may answer. Not that it is genuine."""

    key: str
    """As `ocsp_key` gives it."""
    serial: int
    this_update: datetime.datetime
    next_update: datetime.datetime | None
    """None: it counts only at the moment it is given, and need not be kept."""
    produced_at: datetime.datetime


def build_ocsp_request(
    certificate: PathCertificate, issuer: PathCertificate, nonce: bytes | None, hash_name: str = "sha1"
) -> bytes:
    """Return a DER OCSPRequest about one certificate (RFC 6960, section 4.1), unsigned, with a CertID of this hash.

    `nonce` has 32 bytes or is left out (RFC 9654). TrustError where the request cannot be built.
    """
    if hash_name not in HASHES:
        raise TrustError(f"cannot build an OCSP request: got hash {hash_name!r}, expected one of {', '.join(HASHES)}")
    if nonce is not None and len(nonce) != NONCE_BYTES:
        raise TrustError(f"cannot build an OCSP request: got a nonce of {len(nonce)} bytes, expected {NONCE_BYTES}")
    built = read_strictly(lambda: _request(certificate, issuer, nonce, hash_name))
    if isinstance(built, Unparsable):
        raise TrustError(f"cannot build an OCSP request for {certificate.text!r}: {built.why}")
    return built


def _request(certificate: PathCertificate, issuer: PathCertificate, nonce: bytes | None, hash_name: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import ocsp

    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate.parsed, issuer.parsed, HASHES[hash_name]())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def ocsp_key(issuer: PathCertificate, serial: int) -> str:
    """Return the key under which answers about this serial of this issuer are filed: 64 hexadecimal digits.

    It is made of the issuer's key (SubjectPublicKeyInfo), its name and the serial, so it stays the same when the CA's
    certificate is renewed with the same key. It only names: what is filed under it is checked again when it is asked.
    """
    name = name_key(issuer.parsed.subject)
    return sha256(f"{issuer.public_key.hex()} {name} {serial:x}".encode("ascii")).hex()


def answer_lifetime(der: bytes, certificate: PathCertificate, issuer: PathCertificate) -> AnswerLifetime | Unparsable:
    """Return from when until when a response may answer for this certificate; Unparsable where it never does.

    Of several answers about it in one response the newest counts. Signature, signer and nonce are not checked.
    """
    response = read_response(der, certificate, issuer)
    if isinstance(response, Unparsable):
        return response
    if response.produced_at is None or not response.singles:
        return Unparsable(f"it does not answer: it is {response.status} and about no such certificate")
    newest = max(response.singles, key=lambda each: each.this_update)
    return AnswerLifetime(
        key=ocsp_key(issuer, certificate.parsed.serial_number),
        serial=certificate.parsed.serial_number,
        this_update=newest.this_update,
        next_update=newest.next_update,
        produced_at=response.produced_at,
    )


def ask_ocsp(  # noqa: PLR0913 - the question, the rules, and whom else to ask
    certificate: PathCertificate,
    issuers: tuple[PathCertificate, ...],
    messages: Sequence[OcspMessage],
    *,
    rules: RevocationRules,
    policy: Policy,
    at: datetime.datetime,
    responder: PathCertificate | None,
    nonce_required: bool,
    judge_signer: Callable[[PathCertificate, tuple[PathCertificate, ...]], Situation],
    named: bool = True,
) -> SourceAnswer:
    """Return what the responses say about `certificate` at `at`. Raises nothing but what `judge_signer` raises.

    `issuers` is what stands above it on its valid path, its issuer first, the anchor last. The newest definite genuine
    response speaks, of two of the same moment the one that refuses. `named` says whether a responder is named or
    configured, which counts where there is no response. `judge_signer` is asked about a delegated responder without
    id-pkix-ocsp-nocheck; who gives it ends the asking in circles (a responder for its own certificate never counts).
    """
    if not messages:
        return _nothing(named)
    question = SignerQuestion(
        certificate=certificate, issuers=issuers, responder=responder, policy=policy, mode=rules.mode, at=at,
        judge_signer=judge_signer,
    )  # fmt: skip
    heard = [(_judge(each, question, rules, nonce_required), each) for each in messages]
    judgement, message = max(heard, key=lambda each: weight(each[0]))
    return SourceAnswer(
        kind=RevocationSource.OCSP,
        situation=judgement.situation,
        detail=_detail(heard, (judgement, message)),
        source=clean(message.source),
        as_of=judgement.as_of,
        next_update=judgement.next_update,
        reason=judgement.reason,
    )


def _nothing(named: bool) -> SourceAnswer:
    detail = "no OCSP answer about it is at hand" if named else "it names no OCSP responder, and none is configured"
    situation = Situation.NOT_AT_HAND if named else Situation.NO_SOURCE
    return SourceAnswer(kind=RevocationSource.OCSP, situation=situation, detail=detail)


def _detail(heard: Sequence[tuple[OcspJudgement, OcspMessage]], spoke: tuple[OcspJudgement, OcspMessage]) -> str:
    definite = spoke[0].situation in (Situation.GOOD, Situation.REVOKED)
    return "; ".join(_clause(*each) for each in ([spoke] if definite else heard[:_DETAILS_MAX]))


def _clause(judgement: OcspJudgement, message: OcspMessage) -> str:
    of = f" of {time_text(judgement.as_of)}" if judgement.as_of is not None else ""
    counts = judgement.situation in (Situation.GOOD, Situation.REVOKED)
    verb = "says" if counts else "does not count"
    return f"OCSP answer{of} from {clean(message.source)!r} {verb}: {judgement.detail}"


def _judge(message: OcspMessage, question: SignerQuestion, rules: RevocationRules, nonce_required: bool) -> OcspJudgement:
    if not question.issuers:
        return OcspJudgement(situation=Situation.UNKNOWN, detail="the certificate has no issuer on this path")
    response = read_response(message.der, question.certificate, question.issuers[0])
    if isinstance(response, Unparsable):
        detail = "it is empty" if not message.der else f"it cannot be read: {response.why}"
        return OcspJudgement(situation=Situation.UNKNOWN, detail=detail)
    facts = _facts(response, message, question)
    return judge_ocsp(facts, rules, question.at, nonce_required=nonce_required)


def _facts(response: ReadResponse, message: OcspMessage, question: SignerQuestion) -> OcspFacts:
    asked = response.status == SUCCESSFUL and response.singles
    signer = judge_ocsp_signer(response, question) if asked else SignerVerdict()
    return OcspFacts(
        response=response.status,
        singles=response.singles,
        produced_at=response.produced_at,
        nonce=_nonce_verdict(message, response.nonce),
        unusable=response.unusable,
        signer=signer.problem,
        doubt=signer.doubt,
    )


def _nonce_verdict(message: OcspMessage, found: bytes | None) -> NonceVerdict:
    if message.nonce is None:
        return NonceVerdict.ABSENT if message.fetched else NonceVerdict.STORED
    if found is None:
        return NonceVerdict.ABSENT
    return NonceVerdict.REPEATED if found == message.nonce else NonceVerdict.OTHER
