# SPDX-License-Identifier: LGPL-2.1-or-later
"""Revocation on generated PKIs, held against OpenSSL's own CRL checking and against the truth of the generator.

Two properties. What we accept is, on every place of the path, known by rights and in truth not revoked. And where
OpenSSL, given the same anchor, certificates and CRLs, refuses, we refuse; where we do not, the difference is one of
EXPLAINED, each with a case of its own below.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pam_sc.decision.reasons import Reason
from tests.support.generated_pki import BuiltCrl, Pki, build
from tests.support.openssl_oracle import OpenSslQuestion, ask_command, ask_library
from tests.support.pki_plan import CrlPlan, Flaw, Plan, Renewal, Scope, Signer, Time, Twin
from tests.support.revocation_verdict import Verdict, verdict_on

EXAMPLES = int(os.environ.get("PAM_SC_EXAMPLES", "150"))
"""`make fuzz` asks for more."""
bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


# ---------------------------------------------------------------- what OpenSSL says


@dataclass(frozen=True, slots=True)
class Question:
    """What OpenSSL is asked: the same things as we, but for what a difference below takes away."""

    pki: Pki
    crls: tuple[bytes, ...]
    all_at_once: bool = True
    """The whole path, and the paths of those who sign CRLs; else each certificate of the path by itself."""
    in_store: bool = True
    """The CRLs lie in the store; else they are handed over with the question (only the command can)."""


def question(pki: Pki) -> Question:
    """The question with nothing taken away."""
    return Question(pki, tuple(crl.der for crl in pki.crls))


def openssl_refusal(asked: Question) -> str | None:
    """Why OpenSSL refuses the leaf under the path's own anchor; None if it does not."""
    places = (0,) if asked.all_at_once else range(len(asked.pki.path) - 1)
    ask = ask_library if asked.in_store else ask_command
    return next((answer for place in places if (answer := ask(_about(asked, place))) is not None), None)


def _about(asked: Question, place: int) -> OpenSslQuestion:
    path = asked.pki.path
    return OpenSslQuestion(
        leaf=path[place],
        anchor=path[-1],
        others=[*path[place + 1 : -1], *asked.pki.others],
        crls=asked.crls,
        at=asked.pki.at,
        check_all=asked.all_at_once,
    )


# ---------------------------------------------------------------- generated plans


def crl_plans(of: st.SearchStrategy[int]) -> st.SearchStrategy[CrlPlan]:
    """Any CRL; most of its fields are most often as they should be."""
    return st.builds(
        CrlPlan,
        of=of,
        signer=st.sampled_from([*[Signer.OWN] * 3, *Signer]),
        time=st.sampled_from([*[Time.PRESENT] * 4, *Time]),
        scope=st.sampled_from([*[Scope.ALL] * 4, *Scope]),
        reasons=st.sampled_from([None, None, None, None, 0, 1]),
        flaw=st.sampled_from([*[Flaw.NONE] * 6, *Flaw]),
        delta=st.sampled_from([None, None, None, Signer.OWN, Signer.OWN, *Signer]),
        delta_time=st.sampled_from([*[Time.PRESENT] * 4, *Time]),
        delta_news=st.booleans(),
        announced=st.sampled_from([True, True, False]),
        indirect=st.sampled_from([False, False, False, True]),
        silent=st.booleans(),
    )


def complete_sets(place: int) -> st.SearchStrategy[list[CrlPlan]]:
    """CRLs that together are enough for a place, each in a different way."""
    own = CrlPlan(of=place)
    fitting = Scope.USER if place == 0 else Scope.CA
    sets = [
        [own],
        [replace(own, scope=fitting)],
        [replace(own, reasons=0), replace(own, reasons=1)],
        [replace(own, delta=Signer.OWN)],
        [replace(own, delta=Signer.OWN, delta_news=True)],
        [replace(own, delta=Signer.OWN, delta_news=True, reasons=0), replace(own, reasons=1, scope=fitting)],
    ]
    if place == 0:
        sets += [
            [replace(own, scope=Scope.POINT)],
            [replace(own, signer=Signer.RENEWED)],
            [replace(own, indirect=True, scope=Scope.POINT)],
            [replace(own, indirect=True)],
        ]
    return st.sampled_from(sets)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Infrastructures: for most places there are CRLs that are enough, and there are others beside them."""
    depth = draw(st.integers(0, 2))
    crls: list[CrlPlan] = []
    for place in range(depth + 1):
        if draw(st.integers(0, 9)) > 0:
            crls += draw(complete_sets(place))
    crls += draw(st.lists(crl_plans(st.integers(0, depth)), max_size=3))
    return Plan(
        depth=depth,
        renewal=draw(st.sampled_from([Renewal.NONE, *Renewal])),
        twin=draw(st.sampled_from([Twin.NONE, *Twin])),
        cross=draw(st.sampled_from([False, False, True])),
        crl_sign=draw(st.sampled_from([True, True, True, False])),
        point=draw(st.booleans()),
        indirect=draw(st.sampled_from([False, False, True])),
        revoked=tuple(draw(st.sets(st.integers(0, depth), max_size=2)) if draw(st.booleans()) else ()),
        held=tuple(draw(st.sets(st.integers(0, depth), max_size=1))),
        reason=draw(st.sampled_from([None, x509.ReasonFlags.key_compromise, x509.ReasonFlags.superseded])),
        crls=tuple(draw(st.permutations(crls))),
    )


def ours(pki: Pki) -> Verdict:
    """What a login would say; everything that is no anchor lies on the disk."""
    return verdict_on(
        pki.path[0],
        anchors=pki.anchors,
        intermediates=[*pki.path[1:-1], *pki.others],
        crls=[crl.der for crl in pki.crls],
        at=pki.at,
    )


# ---------------------------------------------------------------- where OpenSSL refuses and we do not


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One reason why OpenSSL refuses what we accept: without it, it accepts. `case` has this reason and no other."""

    why: str
    without: Callable[[Question], Question]
    case: Plan


def only_what_counts(asked: Question) -> Question:
    return replace(asked, crls=tuple(crl.der for crl in asked.pki.crls if crl.counts))


def with_deltas_announced(asked: Question) -> Question:
    plan = replace(asked.pki.plan, crls=tuple(replace(each, announced=True) for each in asked.pki.plan.crls))
    pki = build(plan)
    kept = [der in asked.crls for der in question(asked.pki).crls]
    return replace(asked, pki=pki, crls=tuple(crl.der for crl, keep in zip(pki.crls, kept, strict=True) if keep))


def only_the_newest(asked: Question) -> Question:
    """Without each complete CRL (and its delta) that another one of the same issuer, key and scope has replaced."""
    newest = {_replaceable(crl): crl.number for crl in asked.pki.crls if not crl.is_delta}
    kept = {crl.der for crl in asked.pki.crls if crl.number - crl.is_delta == newest[_replaceable(crl)]}
    return replace(asked, crls=tuple(der for der in asked.crls if der in kept))


def _replaceable(crl: BuiltCrl) -> tuple[object, ...]:
    plan = crl.plan
    return plan.of, plan.signer, plan.time, plan.scope, plan.reasons, plan.flaw, plan.indirect


TOP = CrlPlan(of=1)
EXPLAINED = (
    Difference(
        why="it takes the one CRL that looks best and stops: a forged or unusable one hides a genuine one",
        without=only_what_counts,
        case=Plan(crls=(CrlPlan(signer=Signer.STRANGER), CrlPlan(), TOP)),
    ),
    Difference(
        why="it wants the revocation of a CA's new key told by somebody else than that key, which nobody else does",
        without=lambda asked: replace(asked, all_at_once=False),
        case=Plan(renewal=Renewal.ROLLOVER, crls=(CrlPlan(signer=Signer.RENEWED), TOP)),
    ),
    Difference(
        why="it looks for CRLs in a store by the name of the certificate's issuer, and so finds no indirect one",
        without=lambda asked: replace(asked, in_store=False),
        case=Plan(indirect=True, point=True, crls=(CrlPlan(indirect=True), TOP)),
    ),
    Difference(
        why="of complete CRLs of the same moment it takes the first, not the one with the highest cRLNumber",
        without=only_the_newest,
        case=Plan(depth=0, held=(0,), crls=(CrlPlan(delta=Signer.RENEWED), CrlPlan())),
    ),
    Difference(
        why="it uses a delta only where the certificate or the complete CRL says that there are deltas",
        without=with_deltas_announced,
        case=Plan(depth=0, held=(0,), crls=(CrlPlan(delta=Signer.OWN, announced=False),)),
    ),
)


def is_explained(asked: Question) -> bool:
    """Say whether OpenSSL accepts once some of the explained differences are taken away."""
    for count in range(1, len(EXPLAINED) + 1):
        for some in itertools.combinations(EXPLAINED, count):
            relaxed = asked
            for each in some:
                relaxed = each.without(relaxed)
            if openssl_refusal(relaxed) is None:
                return True
    return False


# ---------------------------------------------------------------- the properties


@bounded
@given(plans())
def test_whatever_is_accepted_is_in_truth_not_revoked(plan: Plan) -> None:
    pki = build(plan)
    verdict = ours(pki)
    if verdict.accepted:
        wrong = [place for place in range(plan.depth + 1) if not pki.is_good(place)]
        assert wrong == [], f"{wrong} in {plan}: {verdict}"


@bounded
@given(plans())
def test_where_openssl_refuses_we_refuse_or_the_difference_is_explained(plan: Plan) -> None:
    asked = question(build(plan))
    refusal = openssl_refusal(asked)
    verdict = ours(asked.pki)
    if refusal is not None and verdict.accepted:
        assert verdict.anchor == asked.pki.path[-1]
        assert is_explained(asked), f"{refusal} for {plan}"


@bounded
@given(plans().filter(lambda plan: not plan.held and not plan.revoked))
def test_where_nothing_is_revoked_and_openssl_accepts_by_rights_we_accept(plan: Plan) -> None:
    asked = question(build(plan))
    by_rights = all(asked.pki.is_good(place) for place in range(plan.depth + 1))
    if by_rights and openssl_refusal(asked) is None:
        verdict = ours(asked.pki)
        assert verdict.accepted, f"{verdict} for {plan}"


@pytest.mark.parametrize("difference", EXPLAINED, ids=lambda each: each.why[:40])
def test_each_explained_difference_exists(difference: Difference) -> None:
    asked = question(build(difference.case))
    assert ours(asked.pki).accepted
    assert openssl_refusal(asked) is not None
    assert openssl_refusal(difference.without(asked)) is None


# ---------------------------------------------------------------- cases in which OpenSSL itself is wrong


def test_a_stale_delta_does_not_take_off_what_is_held() -> None:
    """OpenSSL looks at the age of the complete CRL only and grants."""
    held = Plan(depth=0, held=(0,), crls=(CrlPlan(delta=Signer.OWN, delta_time=Time.STALE),))
    pki = build(held)
    assert openssl_refusal(question(pki)) is None
    assert ours(pki).reason is Reason.CERTIFICATE_REVOKED


def test_a_current_delta_takes_off_what_is_held() -> None:
    pki = build(Plan(depth=0, held=(0,), crls=(CrlPlan(delta=Signer.OWN),)))
    assert openssl_refusal(question(pki)) is None
    assert ours(pki).accepted


@pytest.mark.parametrize("signer", [Signer.STRANGER, Signer.TWIN])
def test_a_forged_delta_does_not_take_off_what_is_held(signer: Signer) -> None:
    pki = build(Plan(depth=0, held=(0,), crls=(CrlPlan(delta=signer),)))
    assert ours(pki).reason is Reason.CERTIFICATE_REVOKED


@pytest.mark.parametrize("scope", Scope)
def test_a_forged_delta_does_not_hide_a_genuine_one(scope: Scope) -> None:
    forged = CrlPlan(scope=scope, delta=Signer.STRANGER, silent=True)
    pki = build(Plan(depth=0, revoked=(0,), crls=(forged, CrlPlan(delta=Signer.OWN, delta_news=True), forged)))
    assert not ours(pki).accepted
