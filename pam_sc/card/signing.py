# SPDX-License-Identifier: LGPL-2.1-or-later
"""A SIGN order, once the token is the right one and the PIN has the right form (entry.py), up to the one C_Sign.

    a a fresh session finds the very same certificates                       else TOKEN_CHANGED
    ----- up to here no PIN was sent; then the login -----
    for each candidate in turn, until one has begun to sign:
    b a private key belongs to the certificate                               else NO_PRIVATE_KEY
    c C_SignInit takes one of the choices, in order                          else MECHANISM_REFUSED
    d the key's own login where it wants one, then one C_Sign                else SIGNING_FAILED

Of several candidates that did not get to step d the first one's failure is told. Never retries a step.
"""

from __future__ import annotations

import hashlib

from pam_sc.card import sentences
from pam_sc.card.ckr import CKR_OK, MECHANISM_REFUSALS, describe
from pam_sc.card.constants import CKA_ALWAYS_AUTHENTICATE, CKA_VALUE, MAX_ATTRIBUTE
from pam_sc.card.entry import Entry
from pam_sc.card.keys import find_private_key, public_part
from pam_sc.card.mechanisms import MECHANISMS
from pam_sc.card.messages import Signature
from pam_sc.card.orders import CandidateCommand
from pam_sc.card.pin import NotPossibleError
from pam_sc.card.session import Session
from pam_sc.card.token import certificate_handles, read_token
from pam_sc.decision.card_report import TokenRef, TokenReport
from pam_sc.decision.possession import CardFailure


def sign(entry: Entry, candidates: tuple[CandidateCommand, ...]) -> Signature:
    """Sign for one of the candidates, or NotPossibleError or TokenError. In a session that is open already, no login."""
    info = entry.check()
    session = entry.session
    if session is None:
        entry.require_pin(info, entry.target.rules)
        session = entry.open_session()
    require_same_certificates(session, candidates)
    entry.log_in(session)
    return _sign_for_one(entry, session, candidates)


def open_token(entry: Entry) -> TokenReport:
    """Log in and report the token as it shows itself then, or NotPossibleError or TokenError."""
    info = entry.check()
    entry.require_pin(info, entry.target.rules)
    entry.log_in(entry.open_session())
    target = entry.target
    return read_token(entry.module, entry.module.token_info(target.slot_id), TokenRef(target.module, target.slot_id))


def _sign_for_one(entry: Entry, session: Session, candidates: tuple[CandidateCommand, ...]) -> Signature:
    passed_over: list[NotPossibleError] = []
    for number, candidate in enumerate(candidates):
        entry.stage = CardFailure.NO_PRIVATE_KEY
        try:
            wants_login, mechanism, content = _begin_for(session, candidate)
        except NotPossibleError as unusable:
            passed_over.append(unusable)
            continue
        entry.stage = CardFailure.SIGNING_FAILED
        if wants_login:
            entry.log_in_for_key(session)
        return Signature(number, mechanism, session.sign(content))
    raise passed_over[0]


def require_same_certificates(session: Session, candidates: tuple[CandidateCommand, ...]) -> None:
    """Refuse unless the token still holds every candidate's certificate, byte for byte."""
    values = (session.attribute_or(handle, CKA_VALUE, MAX_ATTRIBUTE) for handle in certificate_handles(session))
    present = {hashlib.sha256(value).digest() for value in values}
    if any(candidate.certificate_sha256 not in present for candidate in candidates):
        raise NotPossibleError(CardFailure.TOKEN_CHANGED, sentences.CERTIFICATE_GONE)


def _begin_for(session: Session, candidate: CandidateCommand) -> tuple[bool, str, bytes]:
    """Begin to sign for a candidate: whether its key wants a login of its own, the mechanism, the bytes to sign."""
    key = find_private_key(session, candidate.object_id, public_part(candidate.public_key_der))
    if key is None:
        raise NotPossibleError(CardFailure.NO_PRIVATE_KEY, sentences.NO_KEY)
    wants_login = any(session.attribute_or(key, CKA_ALWAYS_AUTHENTICATE, 1))
    if wants_login and not candidate.context_login:
        raise NotPossibleError(CardFailure.SIGNING_FAILED, sentences.NOT_FOR_SIGNATURES)
    return (wants_login, *_begin(session, key, candidate.choices))


def _begin(session: Session, key: int, choices: tuple[tuple[str, bytes], ...]) -> tuple[str, bytes]:
    """Begin with the first choice that C_SignInit takes."""
    refused: list[str] = []
    for name, content in choices:
        rv = session.sign_init(MECHANISMS[name], key)
        if rv == CKR_OK:
            return name, content
        refused.append(f"{name}: {describe(rv)}")
        if rv not in MECHANISM_REFUSALS:
            raise NotPossibleError(CardFailure.SIGNING_FAILED, f"C_SignInit: {refused[-1]}")
    raise NotPossibleError(CardFailure.MECHANISM_REFUSED, f"C_SignInit: {'; '.join(refused) or 'no mechanism to try'}")
