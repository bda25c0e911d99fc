# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a token shows without a login: its texts and PIN state, and its certificates. Never logs in, never judges.

What cannot be read becomes a `Failure` in the place where it would have stood, so that one bad token or certificate
never hides another.
"""

from __future__ import annotations

import sys

from pam_sc.card.ckr import TokenError
from pam_sc.card.constants import (
    CKA_CERTIFICATE_TYPE,
    CKA_CLASS,
    CKA_ID,
    CKA_LABEL,
    CKA_VALUE,
    CKC_X_509,
    CKF_LOGIN_REQUIRED,
    CKF_PROTECTED_AUTHENTICATION_PATH,
    CKF_USER_PIN_COUNT_LOW,
    CKF_USER_PIN_FINAL_TRY,
    CKF_USER_PIN_INITIALIZED,
    CKF_USER_PIN_LOCKED,
    CKF_USER_PIN_TO_BE_CHANGED,
    CKO_CERTIFICATE,
    MAX_ATTRIBUTE,
    MAX_OBJECT_ID,
    MAX_TEXT,
)
from pam_sc.card.module import Module, TokenInfo
from pam_sc.card.session import Session
from pam_sc.card.text import clean, clean_text
from pam_sc.decision.card_report import CertificateRef, CertificateReport, Failure, PinState, TokenRef, TokenReport
from pam_sc.decision.reasons import Reason


def pin_state(flags: int) -> PinState:
    """The PIN state that CK_TOKEN_INFO.flags claim, the worst first."""
    if flags & CKF_USER_PIN_LOCKED:
        return PinState.LOCKED
    if not flags & CKF_USER_PIN_INITIALIZED:
        return PinState.NOT_SET
    if flags & CKF_USER_PIN_FINAL_TRY:
        return PinState.FINAL_TRY
    return PinState.COUNT_LOW if flags & CKF_USER_PIN_COUNT_LOW else PinState.OK


def read_token(module: Module, info: TokenInfo, ref: TokenRef) -> TokenReport:
    """Report the token and its certificates; a failure to list them is the token's."""
    certificates: tuple[CertificateReport, ...] = ()
    failure: Failure | None = None
    try:
        with module.session(ref.slot_id) as session:
            certificates = _read_certificates(session, ref)
    except TokenError as error:
        failure = Failure(Reason.TOKEN_UNREADABLE, clean_text(str(error)))
    return TokenReport(
        ref=ref,
        label=clean(info.label),
        manufacturer=clean(info.manufacturer),
        model=clean(info.model),
        serial=clean(info.serial),
        login_required=bool(info.flags & CKF_LOGIN_REQUIRED),
        protected_authentication_path=bool(info.flags & CKF_PROTECTED_AUTHENTICATION_PATH),
        to_be_changed=bool(info.flags & CKF_USER_PIN_TO_BE_CHANGED),
        pin_state=pin_state(info.flags),
        pin_min=info.pin_min,
        pin_max=info.pin_max,
        mechanisms=module.signature_mechanisms(ref.slot_id),
        certificates=certificates,
        failure=failure,
    )


def certificate_handles(session: Session) -> tuple[int, ...]:
    """The token's certificate objects in its own order."""
    return session.find({CKA_CLASS: CKO_CERTIFICATE})


def _read_certificates(session: Session, ref: TokenRef) -> tuple[CertificateReport, ...]:
    handles = (handle for handle in certificate_handles(session) if _may_be_x509(session, handle))
    return tuple(_read_certificate(session, handle, CertificateRef(ref, at)) for at, handle in enumerate(handles))


def _may_be_x509(session: Session, handle: int) -> bool:
    kind = session.attribute_or(handle, CKA_CERTIFICATE_TYPE, 8)
    return not kind or int.from_bytes(kind, sys.byteorder) == CKC_X_509


def _read_certificate(session: Session, handle: int, ref: CertificateRef) -> CertificateReport:
    object_id = session.attribute_or(handle, CKA_ID, MAX_OBJECT_ID)
    label = clean(session.attribute_or(handle, CKA_LABEL, MAX_TEXT))
    try:
        der, failure = session.attribute(handle, CKA_VALUE, MAX_ATTRIBUTE), None
    except TokenError as error:
        der, failure = b"", Failure(Reason.CERTIFICATE_UNREADABLE, clean_text(str(error)))
    if not der and failure is None:
        failure = Failure(Reason.CERTIFICATE_UNREADABLE, "the certificate object is empty")
    return CertificateReport(ref=ref, der=der, object_id=object_id, label=label, failure=failure)
