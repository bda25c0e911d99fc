# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc verify` finds out about one certificate: steps 4, 5 and 6 of a login, by the functions of a login.

Nothing is decided here: evidence is gathered until decision/decide.py says what it comes to. No network, no store, no
configuration.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator

from pam_sc.cli.given_files import read_crls, read_leaf, read_trust
from pam_sc.decision.card_report import Failure
from pam_sc.decision.certificate import read_facts
from pam_sc.decision.decide import judge_trust
from pam_sc.decision.evidence import CertificateEvidence, PathFinding, RevocationFinding, ValidPath
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Step
from pam_sc.errors import TrustError
from pam_sc.record import record, replace
from pam_sc.trust.anchors import Trust
from pam_sc.trust.choosing import choose_path
from pam_sc.trust.crl import Conditions
from pam_sc.trust.crl_file import FileCrls
from pam_sc.trust.path import find_paths
from pam_sc.trust.revocation import CaRules, RevocationSources, find_revocation


@record(kw_only=True)
class Question:
    """One certificate, where everything about it lies, and by which rules it is judged."""

    certificate: str
    anchors: str
    intermediates: str | None = None
    crls: str | None = None
    policy: Policy
    at: datetime.datetime


@record(kw_only=True)
class Verification:
    """What it came to: `failure` is None for a trusted certificate. `problems` are files that could not be used."""

    failure: Failure | None
    path: tuple[str, ...] = ()
    """The subjects, leaf first; empty where no path is valid."""
    revocation: tuple[RevocationFinding, ...] = ()
    problems: tuple[str, ...] = ()


@record(kw_only=True)
class _Material:
    leaf: bytes
    trust: Trust
    crls: FileCrls


def verify_certificate(question: Question) -> Verification:
    """Return whether the certificate is trusted and why not; TrustError if something named cannot be read at all."""
    material = _read(question)
    known, judged = _gather(question, material)
    path = known.path.subjects if isinstance(known.path, ValidPath) else ()
    problems = (*material.trust.problems, *material.crls.problems)
    return Verification(failure=judged, path=path, revocation=known.revocation or (), problems=problems)


def _read(question: Question) -> _Material:
    try:
        return _Material(
            leaf=read_leaf(question.certificate),
            trust=read_trust(question.anchors, question.intermediates, partial=question.policy.path.partial),
            crls=read_crls(question.crls),
        )
    except OSError as error:
        raise TrustError(f"cannot read {error.filename!r}: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise TrustError(f"cannot read what is named: {error}") from error


def _gather(question: Question, material: _Material) -> tuple[CertificateEvidence, Failure | None]:
    paths = find_paths(material.leaf, (), material.trust, question.policy, question.at)
    gatherers: dict[Step, Callable[[CertificateEvidence], CertificateEvidence]] = {
        Step.SUITABLE: lambda known: replace(known, facts=read_facts(material.leaf)),
        Step.PATH: lambda known: replace(known, path=next(paths)),
        Step.REVOCATION: lambda known: _with_revocation(known, paths, question, material),
    }
    known = CertificateEvidence()
    while isinstance(judged := judge_trust(known, question.policy, question.at), Step):
        known = gatherers[judged](known)
    return known, judged


def _with_revocation(
    known: CertificateEvidence, paths: Iterator[PathFinding], question: Question, material: _Material
) -> CertificateEvidence:
    if not isinstance(known.path, ValidPath):
        raise ValueError("revocation was asked for a certificate without a path")
    sources = RevocationSources(crls=(material.crls,), default=CaRules(rules=question.policy.revocation))
    conditions = Conditions(trust=material.trust, policy=question.policy, at=question.at)
    chosen, found = choose_path(
        known.path,
        paths,
        lambda path: find_revocation(path, sources, conditions),
        question.policy.revocation.mode,
    )
    return replace(known, path=chosen, revocation=found)
