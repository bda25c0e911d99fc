# SPDX-License-Identifier: LGPL-2.1-or-later
"""Revocation on generated PKIs, held against OpenSSL's own CRL checking and against the truth of the generator.

Two properties. What we accept is, on every place of the path, known by rights and in truth not revoked. And where
OpenSSL, given the same anchor, certificates and CRLs, refuses, we refuse; where we do not, the difference is one of
EXPLAINED, each with a case of its own below.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import crypto

from pam_sc.decision.reasons import Reason
from tests.support.generated_pki import Pki, build
from tests.support.pki_plan import CrlPlan, Flaw, Plan, Renewal, Scope, Signer, Time, Twin
from tests.support.revocation_verdict import Verdict, verdict_on

EXAMPLES = int(os.environ.get("PAM_SC_EXAMPLES", "250"))
"""`make fuzz` asks for more."""
EXTENDED_CRL_SUPPORT, USE_DELTAS = 0x1000, 0x2000
FLAGS = (
    crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL | crypto.X509StoreFlags.X509_STRICT
    | EXTENDED_CRL_SUPPORT | USE_DELTAS
)  # fmt: skip
bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


# ---------------------------------------------------------------- what OpenSSL says


@dataclass(frozen=True, slots=True)
class Refusal:
    """X509_V_ERR_*, the place it is about, and OpenSSL's words."""

    code: int
    place: int
    text: str


def openssl_refusal(
    pki: Pki, crls: Iterable[bytes], *, certificates: Iterable[bytes] | None = None, flags: int = FLAGS, first: int = 0
) -> Refusal | None:
    """Why OpenSSL refuses the leaf (or the authority at `first`) under the path's own anchor; None if it does not."""
    store = crypto.X509Store()
    store.add_cert(_certificate(pki.path[-1]))
    store.set_time(pki.at)
    store.set_flags(flags)
    for der in crls:
        store.add_crl(x509.load_der_x509_crl(der))
    at_hand = [*pki.path[first + 1 : -1], *pki.others] if certificates is None else certificates
    context = crypto.X509StoreContext(store, _certificate(pki.path[first]), [_certificate(der) for der in at_hand])
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        code, place, text = error.errors[:3]
        return Refusal(int(code), int(place), str(text))
    return None


def _certificate(der: bytes) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, der)


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


def counting(pki: Pki) -> list[bytes]:
    """Those of the CRLs that may be believed."""
    return [crl.der for crl in pki.crls if crl.counts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One reason why OpenSSL may refuse what we accept; `case` shows it."""

    why: str
    explains: Callable[[Pki, Refusal], bool]
    case: Plan


ISSUER_CRL = CrlPlan(of=1)
EXPLAINED = (
    Difference(
        why="OpenSSL looks at one CRL that fits best by its own account; a forged or unusable one hides a genuine one",
        explains=lambda pki, _refusal: openssl_refusal(pki, counting(pki)) is None,
        case=Plan(crls=(CrlPlan(signer=Signer.STRANGER, scope=Scope.USER), CrlPlan(), ISSUER_CRL)),
    ),
)


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
    pki = build(plan)
    verdict = ours(pki)
    if not verdict.accepted or verdict.anchor != pki.path[-1]:
        return
    refusal = openssl_refusal(pki, [crl.der for crl in pki.crls])
    if refusal is not None:
        assert any(each.explains(pki, refusal) for each in EXPLAINED), f"{refusal} for {plan}"


@pytest.mark.parametrize("difference", EXPLAINED, ids=lambda each: each.why[:60])
def test_each_explained_difference_exists(difference: Difference) -> None:
    pki = build(difference.case)
    assert ours(pki).accepted
    refusal = openssl_refusal(pki, [crl.der for crl in pki.crls])
    assert refusal is not None
    assert difference.explains(pki, refusal)


# ---------------------------------------------------------------- cases in which OpenSSL itself is wrong


def test_a_stale_delta_does_not_take_off_what_is_held() -> None:
    """OpenSSL looks at the age of the complete CRL only and grants."""
    held = Plan(depth=0, held=(0,), crls=(CrlPlan(delta=Signer.OWN, delta_time=Time.STALE),))
    pki = build(held)
    assert openssl_refusal(pki, [crl.der for crl in pki.crls]) is None
    assert ours(pki).reason is Reason.CERTIFICATE_REVOKED


def test_a_current_delta_takes_off_what_is_held() -> None:
    pki = build(Plan(depth=0, held=(0,), crls=(CrlPlan(delta=Signer.OWN),)))
    assert openssl_refusal(pki, [crl.der for crl in pki.crls]) is None
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
