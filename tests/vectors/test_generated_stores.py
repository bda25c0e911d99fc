# SPDX-License-Identifier: LGPL-2.1-or-later
"""Revocation on generated PKIs with their CRLs in the store, kept as `pam-sc refresh` keeps them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable

from hypothesis import HealthCheck, given, settings

from pam_sc.errors import StoreError
from pam_sc.trust.crl import find_crl_signer
from pam_sc.trust.index import Provenance, index_crl
from pam_sc.trust.store import Store, open_store
from tests.support.generated_pki import Pki, build
from tests.support.pki_plan import Plan
from tests.support.revocation_verdict import STRICT, Verdict, trust_of, verdict_on
from tests.support.stores import TRUSTED, parsed_crl
from tests.vectors.test_against_openssl import plans

EXAMPLES = int(os.environ.get("PAM_SC_EXAMPLES", "40"))
bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def store_of(pki: Pki, ders: Iterable[bytes], folder: str) -> Store:
    """Keep every CRL whose signer is found; an older one never takes the place of a newer one."""
    trust = trust_of(pki.anchors, [*pki.path[1:-1], *pki.others])
    for der in ders:
        crl = parsed_crl(der)
        signer = find_crl_signer(crl, trust, STRICT, pki.at)
        if isinstance(signer, str):
            continue
        try:
            index_crl(der, crl, signer, folder, Provenance(), pki.at)
        except StoreError:
            continue
    return open_store(folder, TRUSTED)


def verdict(pki: Pki, ders: Iterable[bytes]) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        return verdict_on(
            pki.path[0],
            anchors=pki.anchors,
            intermediates=[*pki.path[1:-1], *pki.others],
            more=[store_of(pki, ders, folder)],
            at=pki.at,
        )


@bounded
@given(plans())
def test_whatever_a_store_accepts_is_in_truth_not_revoked(plan: Plan) -> None:
    pki = build(plan)
    found = verdict(pki, [crl.der for crl in pki.crls])
    if found.accepted:
        wrong = [place for place in range(plan.depth + 1) if not pki.is_good(place)]
        assert wrong == [], f"{wrong} in {plan}: {found}"


@bounded
@given(plans().filter(lambda plan: not plan.held and not plan.revoked))
def test_a_store_of_what_counts_says_what_the_files_say(plan: Plan) -> None:
    pki = build(plan)
    counting = [crl.der for crl in pki.crls if crl.counts]
    from_files = verdict_on(
        pki.path[0], anchors=pki.anchors, intermediates=[*pki.path[1:-1], *pki.others], crls=counting, at=pki.at
    )
    assert verdict(pki, counting).reason is from_files.reason
