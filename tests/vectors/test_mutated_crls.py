# SPDX-License-Identifier: LGPL-2.1-or-later
"""Genuine CRLs with bytes flipped, put in, taken out or cut off: never good, and nothing but a verdict comes of it."""

from __future__ import annotations

import os

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.generated_pki import Pki, build
from tests.support.pki_plan import CrlPlan, Plan, Scope, Signer
from tests.support.revocation_verdict import Verdict, verdict_on

EXAMPLES = int(os.environ.get("PAM_SC_EXAMPLES", "150"))
bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
SHAPES = {
    "plain": CrlPlan(),
    "scoped": CrlPlan(scope=Scope.USER),
    "with a delta": CrlPlan(delta=Signer.OWN),
}
GOOD = {name: build(Plan(depth=0, crls=(shape,))) for name, shape in SHAPES.items()}
REVOKED = {name: build(Plan(depth=0, revoked=(0,), crls=(shape,))) for name, shape in SHAPES.items()}


def verdict(pki: Pki, crls: list[bytes]) -> Verdict:
    return verdict_on(pki.path[0], anchors=pki.anchors, crls=crls, at=pki.at)


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, float, int]]:
    """What is done, where (as a part of the length), and with which byte."""
    kind = st.sampled_from(["flip", "replace", "insert", "delete", "cut", "append"])
    one = st.tuples(kind, st.floats(0, 1, exclude_max=True), st.integers(0, 255))
    return draw(st.lists(one, min_size=1, max_size=3))


def mutated(der: bytes, steps: list[tuple[str, float, int]]) -> bytes:
    data = bytearray(der)
    for kind, where, value in steps:
        at = int(where * len(data))
        match kind:
            case "flip" if data:
                data[at] ^= 1 << (value % 8)
            case "replace" if data:
                data[at] = value
            case "insert":
                data.insert(at, value)
            case "delete" if data:
                del data[at]
            case "cut":
                del data[at:]
            case _:
                data.append(value)
    return bytes(data)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_crls_are_good_and_revoking_as_they_are(shape: str) -> None:
    assert verdict(GOOD[shape], [crl.der for crl in GOOD[shape].crls]).accepted
    assert not verdict(REVOKED[shape], [crl.der for crl in REVOKED[shape].crls]).accepted


@bounded
@given(st.sampled_from(sorted(SHAPES)), mutations())
def test_a_mutated_crl_that_lists_the_certificate_is_never_good(shape: str, steps: list[tuple[str, float, int]]) -> None:
    complete, *deltas = (crl.der for crl in REVOKED[shape].crls)
    assert not verdict(REVOKED[shape], [mutated(complete, steps), *deltas]).accepted


@bounded
@given(st.sampled_from(sorted(SHAPES)), mutations())
def test_a_mutated_crl_is_good_only_where_what_is_signed_is_the_same(
    shape: str, steps: list[tuple[str, float, int]]
) -> None:
    complete, *_deltas = (crl.der for crl in GOOD[shape].crls)
    changed = mutated(complete, steps)
    if verdict(GOOD[shape], [changed]).accepted:
        before, after = (x509.load_der_x509_crl(der).tbs_certlist_bytes for der in (complete, changed))
        assert before == after


@bounded
@given(mutations())
def test_a_mutated_delta_hides_nothing_and_releases_nothing(steps: list[tuple[str, float, int]]) -> None:
    held = build(Plan(depth=0, held=(0,), crls=(CrlPlan(delta=Signer.OWN),)))
    complete, delta = (crl.der for crl in held.crls)
    changed = mutated(delta, steps)
    if changed != delta and verdict(held, [complete, changed]).accepted:
        before, after = (x509.load_der_x509_crl(der).tbs_certlist_bytes for der in (delta, changed))
        assert before == after
