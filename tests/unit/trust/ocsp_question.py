# SPDX-License-Identifier: LGPL-2.1-or-later
"""An authority, a certificate under it, responses about it, and how they are put to `ask_ocsp`."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable

from pam_sc.decision.evidence import Situation, SourceAnswer
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules, RevocationSource
from pam_sc.trust.anchors import PathCertificate, read_path_certificate
from pam_sc.trust.ocsp import ask_ocsp
from pam_sc.trust.sources import OcspMessage
from tests.support.ocsp_answer import HOUR, NO_CHECK, OCSP_SIGNING, Response, Signer, Single, ocsp_response
from tests.support.pki import CertificateAuthority, Issued, now

AT = now()
SECOND = datetime.timedelta(seconds=1)
GOOD, REVOKED, STALE, UNKNOWN = Situation.GOOD, Situation.REVOKED, Situation.STALE, Situation.UNKNOWN
NO_SOURCE, NOT_AT_HAND = Situation.NO_SOURCE, Situation.NOT_AT_HAND
REQUIRE, NAMED, PREFER = RevocationMode.REQUIRE, RevocationMode.NAMED, RevocationMode.PREFER
URL = "http://ocsp.example.test/"
NONCE, OTHER_NONCE = b"n" * 32, b"n" * 31 + b"o"

ROOT = CertificateAuthority("Root")
ISSUING = ROOT.subordinate("Issuing")
NAMESAKE = ROOT.subordinate("Issuing")
LEAF = ISSUING.issue(key="p256")
NEXT = ISSUING.issue(key="p256")
SINGLE = Single(certificate=LEAF, issuer=ISSUING, this_update=AT - HOUR, next_update=AT + HOUR)


def delegate(authority: CertificateAuthority = ISSUING, **wishes: object) -> Issued:
    """A responder's certificate as it should be, but for the wishes."""
    return authority.issue(**{
        "common_name": "Responder", "key": "p384", "extended_key_usage": (OCSP_SIGNING,), "extensions": (NO_CHECK,),
        **wishes,
    })


DELEGATE = delegate()


def path_certificate(of: Signer) -> PathCertificate:
    found = read_path_certificate(of.der)
    assert isinstance(found, PathCertificate), found
    return found


ISSUERS = (path_certificate(ISSUING), path_certificate(ROOT))


def single(**changes: object) -> Single:
    return dataclasses.replace(SINGLE, **changes)


def response(*singles: Single, **fields: object) -> bytes:
    """A good response about the leaf by the delegated responder, but for the fields."""
    return ocsp_response(Response(**{
        "singles": singles or (SINGLE,), "signer": DELEGATE, "produced_at": AT - HOUR, **fields,
    }))


def nobody_asks(signer: PathCertificate, issuers: tuple[PathCertificate, ...]) -> Situation:
    raise AssertionError(f"nobody should ask about {signer.text}")


def ask(
    *ders: bytes,
    nonce: bytes | None = None,
    fetched: bool = False,
    mode: RevocationMode = REQUIRE,
    policy: Policy | None = None,
    responder: Signer | None = None,
    nonce_required: bool = False,
    judge_signer: Callable[[PathCertificate, tuple[PathCertificate, ...]], Situation] = nobody_asks,
    issuers: tuple[PathCertificate, ...] = ISSUERS,
    certificate: Signer = LEAF,
) -> SourceAnswer:
    return ask_ocsp(
        path_certificate(certificate),
        issuers,
        [OcspMessage(der=der, source=f"{URL}{index}", nonce=nonce, fetched=fetched) for index, der in enumerate(ders)],
        rules=RevocationRules(mode=mode),
        policy=policy or Policy(),
        at=AT,
        responder=None if responder is None else path_certificate(responder),
        nonce_required=nonce_required,
        judge_signer=judge_signer,
        named=True,
    )


def expect(found: SourceAnswer, situation: Situation, detail: str = "") -> None:
    assert found.kind is RevocationSource.OCSP
    assert found.situation is situation, found
    assert detail in found.detail, found
