# SPDX-License-Identifier: LGPL-2.1-or-later
"""What CRLs say together about one certificate (RFC 5280, section 6.3.3): base and delta, reasons, freshness. Pure.

Works on facts: the header of each CRL, the one entry in it that is about the certificate, and whether its signature and
its signer's path have been found good. Nothing is good by default: it takes current CRLs that cover every reason.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from pam_sc.decision.certificate import time_text
from pam_sc.decision.crl import ALL_REASONS, CrlEntry, CrlFacts, CrlHeader, CrlTarget, covered_reasons
from pam_sc.decision.evidence import Situation
from pam_sc.record import record, replace

REMOVE_FROM_CRL = "removeFromCRL"
_CLAUSES_MAX = 4


@record(kw_only=True)
class CrlJudgement:
    """What the CRLs say together, and which of them said it."""

    situation: Situation
    detail: str
    header: CrlHeader | None = None
    reason: str | None = None
    """Of a revocation, its CRLReason; None where the entry gives none."""


@record
class _Clock:
    """The moment that freshness is measured at."""

    at: datetime.datetime
    skew: datetime.timedelta


def judge_crls(
    target: CrlTarget, crls: Sequence[CrlFacts], at: datetime.datetime, clock_skew: datetime.timedelta
) -> CrlJudgement:
    """Return what the CRLs at hand say about the target at a time. `crls` is not empty.

    Of the CRLs of one issuer, key and scope the newest that is strong enough speaks, with the newest delta to it; where cRLNumber
    and thisUpdate do not agree on which is newest, both do. One that is stale, not valid yet or signed with a weak hash
    speaks only where it lists the target. Listed by any of them is revoked. Good needs every reason covered by what is
    current. Each is judged by its own facts, so a bad CRL never hides a good one.
    """
    clock = _Clock(at, clock_skew)
    heard = [_hear(each, clock) for each in _speakers(crls, target, clock)]
    revoked = [each for each in heard if each.situation is Situation.REVOKED]
    if revoked:
        return _newest_of(revoked)
    good = [each for each in heard if each.situation is Situation.GOOD]
    if _covers_everything(target, good):
        return _newest_of(good)
    stale = [each for each in heard if each.situation is Situation.STALE]
    if stale and _covers_everything(target, good + stale):
        return _newest_of(stale)
    return _unknown(target, crls, heard)


@record
class _Heard:
    """What one complete CRL, with its delta, says."""

    facts: CrlFacts
    situation: Situation
    clause: str


def _newest_of(heard: Sequence[_Heard]) -> CrlJudgement:
    told = max(heard, key=lambda each: each.facts.header.this_update)
    header = told.facts.header
    reason = told.facts.entry.reason if told.facts.entry else None
    return CrlJudgement(situation=told.situation, detail=f"{_name(header)} {told.clause}", header=header, reason=reason)


def _covers_everything(target: CrlTarget, heard: Sequence[_Heard]) -> bool:
    return frozenset().union(*(covered_reasons(target, each.facts.header) for each in heard)) >= ALL_REASONS


def _name(header: CrlHeader) -> str:
    return f"CRL {header.source!r} of {time_text(header.this_update)}"


def _speakers(crls: Sequence[CrlFacts], target: CrlTarget, clock: _Clock) -> list[CrlFacts]:
    """Return the CRLs that are heard: of each group of one issuer, key and scope the newest, and the newest current one.

    A delta whose complete CRL is not at hand is heard where it lists the target: that is known, whatever else is not.
    """
    groups: dict[tuple[object, ...], list[CrlFacts]] = {}
    for each in crls:
        if each.signer is not None and covered_reasons(target, each.header):
            groups.setdefault((each.header.issuer, each.signer, each.header.scope), []).append(each)
    found: list[CrlFacts] = []
    for group in groups.values():
        complete = [each for each in group if not each.header.is_delta]
        for order in (_age, _date):
            newest_first = sorted(complete, key=order, reverse=True)
            found += [_with_delta(each, group, clock) for each in _newest(newest_first, clock)]
        found += [each for each in group if _is_orphan(each, complete)]
    return found


def _newest(newest_first: Sequence[CrlFacts], clock: _Clock) -> Iterator[CrlFacts]:
    """Yield those from the future, the newest that is not, and if that is too weak the newest that does count.

    Behind one that is stale nothing counts: an older one that says it lives longer is an old list played back.
    """
    outdone = False
    for each in newest_first:
        problem = _problem(each, clock)
        if problem is None or not outdone:
            yield each
        if problem is None or problem[0] is Situation.STALE:
            return
        outdone = outdone or each.header.this_update <= clock.at + clock.skew


def _is_orphan(facts: CrlFacts, complete: Sequence[CrlFacts]) -> bool:
    if not facts.header.is_delta or _listed(facts.entry) is None:
        return False
    return all((each.header.number or 0) < (facts.header.number or 0) and not _continues(facts, each) for each in complete)


def _age(facts: CrlFacts) -> tuple[int, datetime.datetime, bool]:
    """Newest last; of two that cannot be told apart the one that lists."""
    return facts.header.number or 0, facts.header.this_update, facts.entry is not None


def _date(facts: CrlFacts) -> tuple[datetime.datetime, int, bool]:
    """The same, where an authority has lost count of its numbers or left them out."""
    return facts.header.this_update, facts.header.number or 0, facts.entry is not None


def _with_delta(complete: CrlFacts, group: Sequence[CrlFacts], clock: _Clock) -> CrlFacts:
    """Return the complete CRL as its newest current delta changes it; a delta that does not count can only add."""
    base = replace(complete, entry=_listed(complete.entry))
    for delta in sorted((each for each in group if _continues(each, complete)), key=_age, reverse=True):
        if _problem(delta, clock) is None:
            return base if delta.entry is None else replace(base, entry=_listed(delta.entry))
        if _listed(delta.entry) is not None:
            return replace(base, entry=delta.entry)
    return base


def _listed(entry: CrlEntry | None) -> CrlEntry | None:
    """The entry, if it does not take the certificate off the list (section 6.3.3 (k))."""
    return None if entry is None or entry.reason == REMOVE_FROM_CRL else entry


def _continues(delta: CrlFacts, complete: CrlFacts) -> bool:
    """Say whether it is a delta to this complete CRL: same issuer, key and scope, and numbers (section 5.2.4)."""
    ours, theirs = complete.header, delta.header
    if delta.signer != complete.signer or ours.issuer != theirs.issuer or ours.scope != theirs.scope:
        return False
    if theirs.base_number is None or theirs.number is None or ours.number is None:
        return False
    return theirs.base_number <= ours.number < theirs.number


def _hear(facts: CrlFacts, clock: _Clock) -> _Heard:
    problem = _problem(facts, clock)
    if facts.entry is not None:
        reason = f" ({facts.entry.reason})" if facts.entry.reason else ""
        return _Heard(facts, Situation.REVOKED, f"lists it{reason}" + (f", though {problem[1]}" if problem else ""))
    if problem is None:
        return _Heard(facts, Situation.GOOD, "does not list it")
    return _Heard(facts, problem[0], f"does not count: {problem[1]}")


def _problem(facts: CrlFacts, clock: _Clock) -> tuple[Situation, str] | None:
    """Return why a CRL makes nothing good, None if it can."""
    header = facts.header
    if facts.weak is not None:
        return Situation.UNKNOWN, facts.weak
    if header.this_update > clock.at + clock.skew:
        return Situation.UNKNOWN, f"it is from the future, valid from {time_text(header.this_update)}"
    if header.next_update is None:
        return Situation.STALE, "it has no nextUpdate, so it could be of any age"
    if header.next_update < clock.at - clock.skew:
        return Situation.STALE, f"it expired on {time_text(header.next_update)}"
    return None


def _unknown(target: CrlTarget, crls: Sequence[CrlFacts], heard: Sequence[_Heard]) -> CrlJudgement:
    """Return why the CRLs do not answer: what is wrong with each."""
    clauses = [f"{_name(each.facts.header)} {_clause(each)}" for each in heard]
    clauses += [
        f"{_name(each.header)} does not count: {_why_silent(target, each)}" for each in crls if _silent(target, each)
    ]
    return CrlJudgement(situation=Situation.UNKNOWN, detail="; ".join(dict.fromkeys(clauses[:_CLAUSES_MAX])))


def _clause(heard: _Heard) -> str:
    return "does not list it, but covers only some reasons" if heard.situation is Situation.GOOD else heard.clause


def _silent(target: CrlTarget, facts: CrlFacts) -> bool:
    return facts.signer is None or facts.header.is_delta or not covered_reasons(target, facts.header)


def _why_silent(target: CrlTarget, facts: CrlFacts) -> str:
    if facts.problem is not None:
        return facts.problem
    if not covered_reasons(target, facts.header):
        return "its scope does not cover this certificate"
    return "it is a delta CRL, and no complete one to it counts"
