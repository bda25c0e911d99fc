# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finds a path from a certificate to a configured anchor and has OpenSSL validate it (RFC 5280, section 6.1).

OpenSSL does not backtrack where a CA is cross-signed, so the candidate paths are built here: depth-first by name, key
identifier and signature, within hard bounds, because a card may carry any number of crafted intermediates. Each
candidate is then validated alone, with its one anchor. Nothing from the card is ever an anchor, the answer does not
depend on the order of files, and revocation is not looked at.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from pam_sc.decision.certificate import LOGIN_PURPOSES
from pam_sc.decision.evidence import NoPath, PathFinding, Unparsable, ValidPath
from pam_sc.decision.names import CanonicalName
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import Reason
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate, unique
from pam_sc.trust.openssl import OK, ask_openssl
from pam_sc.trust.policies import policy_problem
from pam_sc.trust.strength import is_signed_by, weak_key, weak_signature

CANDIDATES_MAX = 100
LENGTH_MAX = 10
"""Certificates of a path, leaf and anchor included."""
SIGNATURES_MAX = 300
"""Signatures checked while paths are built: a card may bring keys that are slow to check."""
STEPS_MAX = 5_000

_Path = tuple[PathCertificate, ...]


def find_path(
    leaf_der: bytes,
    from_card: Sequence[bytes],
    trust: Trust,
    policy: Policy,
    at: datetime.datetime,
    in_time: Callable[[], None] = lambda: None,
) -> PathFinding:
    """Return the first path to an anchor that is valid at `at` and strong enough for `policy`, else why there is none.

    Of several refused candidates the first one's reason is told. Never raises on any certificate; but `in_time` is
    called before each piece of work, and what it raises comes through.
    """
    leaf = read_path_certificate(leaf_der)
    if isinstance(leaf, Unparsable):
        return NoPath(Reason.UNTRUSTED, f"the certificate cannot be parsed: {leaf.why}")
    if any(leaf.der == anchor.der for anchor in trust.anchors):
        return NoPath(Reason.UNTRUSTED, "the certificate is itself a trust anchor, expected one issued under an anchor")
    refusals: list[NoPath] = []
    pool = _Pool(trust, from_card, leaf, in_time)
    for candidate in islice(_candidates(pool, (leaf,)), CANDIDATES_MAX):
        in_time()
        refusal = _refusal(candidate, policy, at)
        if refusal is None:
            return _valid(candidate)
        refusals.append(refusal)
    return refusals[0] if refusals else NoPath(Reason.UNTRUSTED, pool.why_nothing(leaf))


def _valid(candidate: _Path) -> ValidPath:
    return ValidPath(
        certificates=tuple(each.der for each in candidate), subjects=tuple(each.text for each in candidate)
    )


def _refusal(candidate: _Path, policy: Policy, at: datetime.datetime) -> NoPath | None:
    """Return None if the candidate is a valid and strong path. An anchor's signature is not judged, its key is."""
    for index, each in enumerate(candidate):
        weak = weak_key(each.parsed, policy)
        if weak is None and index < len(candidate) - 1:
            weak = weak_signature(each.parsed, policy)
        if weak is not None:
            return NoPath(Reason.PATH_TOO_WEAK, f"{each.text!r}: {weak}")
    answer = ask_openssl([each.der for each in candidate], at)
    if answer.code == OK:
        problem = policy_problem([each.parsed for each in candidate]) or _purpose_problem(candidate[1:-1])
        return None if problem is None else NoPath(Reason.PATH_INVALID, f"{candidate[0].text!r}: {problem}")
    about = candidate[min(max(answer.depth, 0), len(candidate) - 1)]
    return NoPath(Reason.PATH_INVALID, f"{about.text!r} at depth {answer.depth}: {answer.text}")


def _purpose_problem(intermediates: _Path) -> str | None:
    """Return which authority below the anchor is limited to purposes that are no login's, None if none is.

    RFC 5280 leaves the meaning of extendedKeyUsage in an authority open; everybody who writes one means a limit.
    """
    for each in intermediates:
        purposes = each.extended_key_usage
        if purposes is not None and not purposes & LOGIN_PURPOSES:
            return f"the extendedKeyUsage of {each.text!r} allows no login certificates"
    return None


def _candidates(pool: _Pool, path: _Path) -> Iterator[_Path]:
    """Yield every way on from the end of `path` to an anchor, depth-first."""
    for issuer in pool.issuers_of(path[-1]):
        if issuer in pool.anchors:
            yield (*path, issuer)
        elif len(path) < LENGTH_MAX - 1 and not _repeats(issuer, path):
            yield from _candidates(pool, (*path, issuer))


def _repeats(issuer: PathCertificate, path: _Path) -> bool:
    """The same name with the same key is on the path already (RFC 4158, section 2.4.2)."""
    return any(each.subject == issuer.subject and each.public_key == issuer.public_key for each in path)


class _Pool:
    """The certificates that may be issuers, by name, and how much work may still be spent on them.

    Anchors come first, then what lies on disk, then what the card brings; each group ordered by hash.
    """

    def __init__(
        self, trust: Trust, from_card: Sequence[bytes], leaf: PathCertificate, in_time: Callable[[], None]
    ) -> None:
        self.anchors = frozenset(trust.anchors)
        self.by_subject: dict[CanonicalName, list[PathCertificate]] = {}
        self.links: dict[tuple[bytes, bytes], bool] = {}
        self.steps = 0
        self.in_time = in_time
        read: list[PathCertificate | Unparsable] = []
        for der in from_card:
            in_time()
            read.append(read_path_certificate(der))
        card = unique(each for each in read if isinstance(each, PathCertificate))
        known = {leaf.der}
        for each in (*trust.anchors, *trust.intermediates, *card):
            if each.der not in known:
                known.add(each.der)
                self.by_subject.setdefault(each.subject, []).append(each)

    def issuers_of(self, child: PathCertificate) -> Iterator[PathCertificate]:
        """Yield the certificates whose name, key identifier and key fit the child's issuer, until the work is spent."""
        for each in self.by_subject.get(child.issuer, ()):
            self.steps += 1
            if self.steps > STEPS_MAX:
                return
            if _identifiers_agree(child, each) and self._is_signed(child, each):
                yield each

    def _is_signed(self, child: PathCertificate, issuer: PathCertificate) -> bool:
        key = (child.sha256, issuer.public_key)
        if key not in self.links:
            if len(self.links) >= SIGNATURES_MAX:
                return False
            self.in_time()
            self.links[key] = is_signed_by(child.parsed, issuer.parsed)
        return self.links[key]

    def why_nothing(self, leaf: PathCertificate) -> str:
        """Return why no candidate was found, for people."""
        if self.steps > STEPS_MAX or len(self.links) >= SIGNATURES_MAX:
            return "no path was found within the bounds: there are too many intermediates of the same names"
        if leaf.subject == leaf.issuer:
            return f"{leaf.text!r} is issued by itself and is no trust anchor"
        if leaf.issuer not in self.by_subject:
            return f"no certificate of the issuer of {leaf.text!r} is at hand"
        return f"no path from {leaf.text!r} to a trust anchor: a link is missing or its signature does not verify"


def _identifiers_agree(child: PathCertificate, issuer: PathCertificate) -> bool:
    wanted, found = child.issuer_key_identifier, issuer.key_identifier
    return wanted is None or found is None or wanted == found
