# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finds a path from a certificate to a configured anchor and has OpenSSL validate it (RFC 5280, section 6.1).

Each candidate path (candidates.py) is validated alone, with its one anchor. Nothing from the card is ever an anchor,
the answer does not depend on the order of files, and revocation is not looked at.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from pam_sc.decision.certificate import purposes_that_count
from pam_sc.decision.evidence import NoPath, PathFinding, Unparsable, ValidPath
from pam_sc.decision.policy import PathInputs, Policy
from pam_sc.decision.reasons import Reason
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.candidates import CandidatePath, Pool, candidates
from pam_sc.trust.constrained_names import names_problem
from pam_sc.trust.openssl import OK, ask_openssl
from pam_sc.trust.policies import policy_problem
from pam_sc.trust.strength import weak_key, weak_signature

CANDIDATES_MAX = 100


def find_path(
    leaf_der: bytes,
    from_card: Sequence[bytes],
    trust: Trust,
    policy: Policy,
    at: datetime.datetime,
    in_time: Callable[[], None] = lambda: None,
) -> PathFinding:
    """Return the first path of `find_paths`, or why there is none."""
    return next(find_paths(leaf_der, from_card, trust, policy, at, in_time))


def find_paths(
    leaf_der: bytes,
    from_card: Sequence[bytes],
    trust: Trust,
    policy: Policy,
    at: datetime.datetime,
    in_time: Callable[[], None] = lambda: None,
) -> Iterator[PathFinding]:
    """Yield each path to an anchor that is valid at `at` and strong enough for `policy`; if there is none, why.

    Of several refused candidates the first one's reason is told. Never raises on any certificate; but `in_time` is
    called before each piece of work, and what it raises comes through.
    """
    leaf = read_path_certificate(leaf_der)
    if isinstance(leaf, Unparsable):
        yield NoPath(Reason.UNTRUSTED, f"the certificate cannot be parsed: {leaf.why}")
        return
    if any(leaf.der == anchor.der for anchor in trust.anchors):
        yield NoPath(Reason.UNTRUSTED, "the certificate is itself a trust anchor, expected one issued under an anchor")
        return
    found, refusals = False, list[NoPath]()
    pool = Pool(trust, _read(from_card, in_time), leaf, at, in_time)
    for candidate in islice(candidates(pool, (leaf,)), CANDIDATES_MAX):
        in_time()
        refusal = _refusal(candidate, policy, at) or _login_refusal(candidate, policy.path)
        if refusal is None:
            found = True
            yield _valid(candidate)
        else:
            refusals.append(refusal)
    if not found:
        yield refusals[0] if refusals else NoPath(Reason.UNTRUSTED, pool.why_nothing(leaf))


def find_issuer_paths(
    certificate: PathCertificate,
    trust: Trust,
    policy: Policy,
    at: datetime.datetime,
    others: Sequence[PathCertificate] = (),
    in_time: Callable[[], None] = lambda: None,
) -> Iterator[CandidatePath]:
    """Yield every path (the certificate first, the anchor last) that is valid at `at` and strong enough, within bounds.

    For those that sign CRLs: neither policies nor purposes are looked at, and an anchor has the path of itself alone.
    `others` are further intermediates. Never raises but what `in_time` raises.
    """
    pool = Pool(trust, others, certificate, at, in_time)
    ways = iter([(certificate,)]) if certificate in pool.anchors else candidates(pool, (certificate,))
    for candidate in islice(ways, CANDIDATES_MAX):
        in_time()
        if _refusal(candidate, policy, at) is None:
            yield candidate


def _read(ders: Sequence[bytes], in_time: Callable[[], None]) -> Iterator[PathCertificate]:
    for der in ders:
        in_time()
        found = read_path_certificate(der)
        if isinstance(found, PathCertificate):
            yield found


def _valid(candidate: CandidatePath) -> ValidPath:
    return ValidPath(
        certificates=tuple(each.der for each in candidate), subjects=tuple(each.text for each in candidate)
    )


def _refusal(candidate: CandidatePath, policy: Policy, at: datetime.datetime) -> NoPath | None:
    """Return None if the candidate is a valid and strong path. An anchor's signature is not judged, its key is."""
    for index, each in enumerate(candidate):
        weak = weak_key(each.parsed, policy)
        if weak is None and index < len(candidate) - 1:
            weak = weak_signature(each.parsed, policy)
        if weak is not None:
            return NoPath(Reason.PATH_TOO_WEAK, f"{each.text!r}: {weak}")
    answer = ask_openssl([each.der for each in candidate], at, strict=policy.path.strict)
    if answer.code == OK:
        problem = names_problem([each.parsed for each in candidate])
        return None if problem is None else NoPath(Reason.PATH_INVALID, problem)
    about = candidate[min(max(answer.depth, 0), len(candidate) - 1)]
    return NoPath(Reason.PATH_INVALID, f"{about.text!r} at depth {answer.depth}: {answer.text}")


def _login_refusal(candidate: CandidatePath, inputs: PathInputs) -> NoPath | None:
    """Return why the path does not do for a leaf's purpose, None if it does."""
    problem = policy_problem([each.parsed for each in candidate], inputs)
    problem = problem or _purpose_problem(candidate[1:-1], purposes_that_count(inputs.purposes))
    return None if problem is None else NoPath(Reason.PATH_INVALID, f"{candidate[0].text!r}: {problem}")


def _purpose_problem(intermediates: CandidatePath, wanted: frozenset[str]) -> str | None:
    """Return which authority below the anchor is limited to other purposes than the wanted, None if none is.

    RFC 5280 leaves the meaning of extendedKeyUsage in an authority open; everybody who writes one means a limit.
    """
    for each in intermediates:
        purposes = each.extended_key_usage
        if purposes is not None and not purposes & wanted:
            return f"the extendedKeyUsage of {each.text!r} allows no certificates for this purpose"
    return None
