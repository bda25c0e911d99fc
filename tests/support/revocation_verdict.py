# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a login in mode REQUIRE, without clock skew, says of a leaf, its intermediates and CRLs: path, then revocation."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pam_sc.decision.card_report import Failure
from pam_sc.decision.evidence import NoPath, RevocationFinding
from pam_sc.decision.policy import Policy, RevocationMode, RevocationRules
from pam_sc.decision.reasons import Reason
from pam_sc.decision.revocation import judge_revocation
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.crl import Conditions
from pam_sc.trust.crl_file import load_crls
from pam_sc.trust.path import find_path
from pam_sc.trust.revocation import CaRules, RevocationSources, find_revocation
from pam_sc.trust.sources import CrlSet

STRICT = Policy(revocation=RevocationRules(mode=RevocationMode.REQUIRE, clock_skew=datetime.timedelta(0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """None as a reason is an acceptance; `anchor` is that of the path, if there is one."""

    reason: Reason | None
    detail: str = ""
    anchor: bytes | None = None
    findings: tuple[RevocationFinding, ...] = ()

    @property
    def accepted(self) -> bool:
        """The login would go on."""
        return self.reason is None


def trust_of(anchors: Iterable[bytes], intermediates: Iterable[bytes] = ()) -> Trust:
    """The anchors and intermediates, parsed."""
    return Trust(anchors=tuple(map(_readable, anchors)), intermediates=tuple(map(_readable, intermediates)))


def _readable(der: bytes) -> PathCertificate:
    found = read_path_certificate(der)
    assert isinstance(found, PathCertificate), found
    return found


def verdict_on(  # noqa: PLR0913 - everything that the answer depends on
    leaf: bytes,
    *,
    anchors: Iterable[bytes],
    intermediates: Iterable[bytes] = (),
    from_card: Iterable[bytes] = (),
    crls: Iterable[bytes] = (),
    more: Sequence[CrlSet] = (),
    at: datetime.datetime,
    policy: Policy = STRICT,
) -> Verdict:
    """Find a path and what the CRLs, in files or in `more`, say about each certificate on it, and judge that."""
    trust, card = trust_of(anchors, intermediates), tuple(from_card)
    path = find_path(leaf, card, trust, policy, at)
    if isinstance(path, NoPath):
        return Verdict(reason=path.reason, detail=path.detail)
    with tempfile.TemporaryDirectory() as folder:
        for index, der in enumerate(crls):
            (Path(folder) / f"{index:02}.crl").write_bytes(der)
        source = load_crls(folder, frozenset({0, Path(folder).stat().st_uid}))
    sources = RevocationSources(crls=(source, *more), default=CaRules(rules=policy.revocation))
    conditions = Conditions(trust=trust, others=tuple(map(_readable, card)), policy=policy, at=at)
    findings = find_revocation(path, sources, conditions)
    failure: Failure | None = judge_revocation(findings, policy.revocation.mode)
    anchor = path.certificates[-1]
    if failure is None:
        return Verdict(reason=None, anchor=anchor, findings=findings)
    return Verdict(reason=failure.reason, detail=failure.detail, anchor=anchor, findings=findings)
