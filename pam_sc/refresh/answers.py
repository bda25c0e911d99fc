# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks OCSP responders about certificates and keeps the answers that are definite and last.

An answer is kept only if it is genuine, says good or revoked, and has a nextUpdate; each login judges it again. The
revocation of a delegated responder is not looked at here, only there. What does not count changes nothing.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence

from pam_sc.config.model import OcspNonce
from pam_sc.decision.evidence import Situation, SourceAnswer, Unparsable
from pam_sc.errors import StoreError, TrustError
from pam_sc.record import replace
from pam_sc.refresh.model import Fetch, Kind, Scene, SourceReport, State, Tell, WantedAnswer
from pam_sc.transfer import Outcome, Transfer, TransferFailed
from pam_sc.trust.index_format import OCSP_PREFIX, OCSP_SUFFIX, ocsp_file_name
from pam_sc.trust.ocsp import NONCE_BYTES, AnswerLifetime, answer_lifetime, ask_ocsp, build_ocsp_request, ocsp_key
from pam_sc.trust.replacing import replacing
from pam_sc.trust.sources import OcspMessage
from pam_sc.trust.store import OCSP_BYTES_MAX, Store, open_store

KEPT_AFTER = datetime.timedelta(days=30)
"""How long an answer stays after its nextUpdate: what it revoked, it has revoked."""


def fetch_answers(wanted: Sequence[WantedAnswer], scene: Scene, fetch: Fetch, tell: Tell) -> None:
    """Ask about everything at once, first each first responder, then the next of those that gave no answer."""
    waiting = [(each, each.urls) for each in wanted]
    while waiting:
        rest: list[tuple[WantedAnswer, tuple[str, ...]]] = []
        for group in _by_settings(waiting):
            rest += _ask(group, scene, fetch, tell)
        waiting = rest


_Asked = list[tuple[WantedAnswer, tuple[str, ...]]]


def _by_settings(waiting: _Asked) -> list[_Asked]:
    groups: dict[tuple[object, ...], _Asked] = {}
    for each, urls in waiting:
        settings = each.lookup
        groups.setdefault((settings.proxy, settings.loopback, settings.timeout_s), []).append((each, urls))
    return list(groups.values())


def _ask(group: _Asked, scene: Scene, fetch: Fetch, tell: Tell) -> _Asked:
    """Ask the first responder of each; return those for which another is left to be asked."""
    rest: _Asked = []
    questions = [_question(each, urls[0]) for each, urls in group]
    outcomes = fetch([question for question, _ in questions], group[0][0].lookup)
    for (each, urls), (_, nonce), outcome in zip(group, questions, outcomes, strict=True):
        report = _take(each, urls[0], nonce, outcome, scene)
        if report.state is State.FAILED and not report.broken and len(urls) > 1:
            rest.append((each, urls[1:]))
        else:
            tell(report)
    return rest


def _question(wanted: WantedAnswer, url: str) -> tuple[Transfer, bytes | None]:
    nonce = os.urandom(NONCE_BYTES) if wanted.lookup.ocsp_nonce is not OcspNonce.OFF else None
    try:
        body = build_ocsp_request(wanted.certificate, wanted.issuers[0], nonce)
    except TrustError:
        body = b""
    most = min(wanted.lookup.max_bytes, OCSP_BYTES_MAX)
    transfer = Transfer(
        url=url, body=body, content_type="application/ocsp-request", max_bytes=most, configured=wanted.configured
    )
    return transfer, nonce


def _take(wanted: WantedAnswer, url: str, nonce: bytes | None, outcome: Outcome, scene: Scene) -> SourceReport:
    about = f"about serial {wanted.certificate.parsed.serial_number:x} of {wanted.issuers[0].text!r}"
    report = SourceReport(kind=Kind.OCSP, source=url, state=State.FAILED, why=about)
    if isinstance(outcome, TransferFailed):
        return replace(report, why=f"{about}: {outcome.why}")
    message = OcspMessage(der=outcome.body, source=url, nonce=nonce)
    answer = _judge(wanted, message, scene)
    lifetime = answer_lifetime(outcome.body, wanted.certificate, wanted.issuers[0])
    if answer.situation not in (Situation.GOOD, Situation.REVOKED) or isinstance(lifetime, Unparsable):
        stale = State.STALE if answer.situation is Situation.STALE else State.FAILED
        return replace(report, state=stale, why=f"{about}: {answer.detail}")
    known = replace(
        report, state=State.FRESH, why=f"{about}: {answer.situation.value}", this_update=lifetime.this_update,
        next_update=lifetime.next_update, size=len(outcome.body),
    )  # fmt: skip
    try:
        keep_answer(scene.folder, message, lifetime, wanted, answer.situation)
    except StoreError as error:
        return replace(known, state=State.FAILED, why=str(error), broken=True)
    return known


def _judge(wanted: WantedAnswer, message: OcspMessage, scene: Scene) -> SourceAnswer:
    return ask_ocsp(
        wanted.certificate,
        wanted.issuers,
        (message,),
        rules=wanted.lookup.rules(),
        policy=scene.policy,
        at=scene.at,
        responder=wanted.responder,
        nonce_required=wanted.lookup.ocsp_nonce is OcspNonce.REQUIRED,
        judge_signer=lambda _certificate, _issuers: Situation.GOOD,
        named=True,
    )


def keep_answer(
    folder: str, message: OcspMessage, lifetime: AnswerLifetime, wanted: WantedAnswer, situation: Situation
) -> None:
    """Put an answer into the store, unless it cannot be kept (no nextUpdate) or a newer one is there.

    The first line says, for `pam-sc store`, what it is; nobody believes that line.
    """
    name = ocsp_file_name(ocsp_key(wanted.issuers[0], wanted.certificate.parsed.serial_number))
    if lifetime.next_update is None or _is_older(lifetime, Store(folder, [name], frozenset({0, os.geteuid()}))):
        return
    line = {
        "source": message.source,
        "issuer": wanted.issuers[0].text,
        "serial": f"{lifetime.serial:x}",
        "says": situation.value,
        "this_update": lifetime.this_update.isoformat(),
        "next_update": lifetime.next_update.isoformat(),
    }
    with replacing(folder, name) as path, open(path, "wb") as file:
        file.write(json.dumps(line).encode("ascii") + b"\n" + message.der)


def _is_older(lifetime: AnswerLifetime, store: Store) -> bool:
    (name,) = store.names
    known = store.read_answer(name) if os.path.lexists(os.path.join(store.folder, name)) else None
    this_update = known.times[0] if known else None
    return this_update is not None and lifetime.this_update < this_update


def remove_old_answers(scene: Scene) -> None:
    """Remove the answers whose time has been over for long."""
    store = open_store(scene.folder, scene.trusted_uids)
    for name in sorted(store.names):
        if name.startswith(OCSP_PREFIX) and name.endswith(OCSP_SUFFIX):
            answer = store.read_answer(name)
            next_update = answer.times[1] if answer else None
            if next_update is not None and next_update + KEPT_AFTER < scene.at:
                os.unlink(os.path.join(store.folder, name))
