# SPDX-License-Identifier: LGPL-2.1-or-later
"""The certificate policies of a path (RFC 5280, section 6.1, in the form of RFC 9618), for any inputs.

OpenSSL's own policy check cannot be told through pyOpenSSL which policies are acceptable and then refuses every path
that requires one. Only the newest level of the policy graph is kept, with a mark on each node that says whether the
user's set reaches it, so the work is linear in the size of the certificates. Signatures, names and times are not looked
at here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography import x509

from pam_sc.decision.der import OBJECT_IDENTIFIER, SEQUENCE, body, elements
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.names import canonical_name
from pam_sc.decision.parsing import read_extension, read_strictly
from pam_sc.decision.policy import ANY_POLICY, PathInputs
from pam_sc.record import record

_POLICY_MAPPINGS = x509.ObjectIdentifier("2.5.29.33")

_NONE_VALID = "no certificate policy is valid, but one is required"
_NONE_WANTED = "none of the certificate policies that are asked for is valid, but one is required"


@record(kw_only=True)
class _Node:
    """One valid_policy of the newest level, the name of which is its key in the level."""

    expected: frozenset[str]
    wanted: bool
    """One of the policies at which its ancestors leave anyPolicy is in the user's set (section 6.1.5 (g))."""


_Level = dict[str, _Node]
"""The nodes of one depth. Empty: the graph is null."""


class _State:
    """The state variables of RFC 5280, section 6.1.2, at their start for a path of this length."""

    def __init__(self, inputs: PathInputs, length: int) -> None:
        self.asked = inputs.policies
        self.level: _Level = {ANY_POLICY: _Node(expected=frozenset({ANY_POLICY}), wanted=bool(inputs.policies))}
        self.explicit = 0 if inputs.explicit_policy else length + 1
        self.mapping = 0 if inputs.inhibit_policy_mapping else length + 1
        self.inhibit_any = 0 if inputs.inhibit_any_policy else length + 1

    def node_below_any(self, policy: str, expected: Iterable[str]) -> _Node:
        """Return a node whose parent is anyPolicy."""
        return _Node(expected=frozenset(expected), wanted=ANY_POLICY in self.asked or policy in self.asked)


def policy_problem(path: Sequence[x509.Certificate], inputs: PathInputs | None = None) -> str | None:
    """Return which policy rule a path (leaf first, anchor last) breaks, None if none. Never raises."""
    found = read_strictly(lambda: _problem(path, inputs or PathInputs()))
    return f"its policies cannot be read: {found.why}" if isinstance(found, Unparsable) else found


def _problem(path: Sequence[x509.Certificate], inputs: PathInputs) -> str | None:
    below = list(reversed(path[:-1]))
    state = _State(inputs, len(below))
    for certificate in below[:-1]:
        problem = _step(state, certificate, is_leaf=False) or _prepare(state, certificate)
        if problem is not None:
            return problem
    return _step(state, below[-1], is_leaf=True) or _wrap_up(state, below[-1])


def _step(state: _State, certificate: x509.Certificate, *, is_leaf: bool) -> str | None:
    """6.1.3 (d) to (f)."""
    policies = read_extension(certificate, x509.CertificatePolicies)
    stated = {each.policy_identifier.dotted_string for each in policies} if policies is not None else set()
    any_allowed = state.inhibit_any > 0 or (not is_leaf and _is_self_issued(certificate))
    state.level = _next_level(state, stated, any_allowed=any_allowed)
    return _NONE_VALID if state.explicit == 0 and not state.level else None


def _next_level(state: _State, stated: set[str], *, any_allowed: bool) -> _Level:
    reached: dict[str, bool] = {}
    for node in state.level.values():
        for policy in node.expected:
            reached[policy] = reached.get(policy, False) or node.wanted
    take_all = ANY_POLICY in stated and any_allowed
    kept = {policy: wanted for policy, wanted in reached.items() if take_all or policy in stated - {ANY_POLICY}}
    level = {policy: _Node(expected=frozenset({policy}), wanted=wanted) for policy, wanted in kept.items()}
    if ANY_POLICY in state.level:
        level |= {each: state.node_below_any(each, {each}) for each in stated - {ANY_POLICY} - reached.keys()}
    return level


def _prepare(state: _State, certificate: x509.Certificate) -> str | None:
    """6.1.4 (a), (b) and (h) to (j)."""
    mappings = _mappings(certificate)
    if any(ANY_POLICY in pair for pair in mappings):
        return "a policy mapping names anyPolicy"
    _map(state, mappings)
    if not _is_self_issued(certificate):
        state.explicit = max(state.explicit - 1, 0)
        state.mapping = max(state.mapping - 1, 0)
        state.inhibit_any = max(state.inhibit_any - 1, 0)
    constraints = read_extension(certificate, x509.PolicyConstraints)
    if constraints is not None:
        state.explicit = _least(state.explicit, constraints.require_explicit_policy)
        state.mapping = _least(state.mapping, constraints.inhibit_policy_mapping)
    inhibit = read_extension(certificate, x509.InhibitAnyPolicy)
    state.inhibit_any = _least(state.inhibit_any, inhibit.skip_certs if inhibit is not None else None)
    return None


def _map(state: _State, mappings: list[tuple[str, str]]) -> None:
    targets: dict[str, set[str]] = {}
    for issuer_policy, subject_policy in mappings:
        targets.setdefault(issuer_policy, set()).add(subject_policy)
    for policy, subject_policies in targets.items():
        if state.mapping == 0:
            state.level.pop(policy, None)
        elif policy in state.level:
            state.level[policy] = _Node(expected=frozenset(subject_policies), wanted=state.level[policy].wanted)
        elif ANY_POLICY in state.level:
            state.level[policy] = state.node_below_any(policy, subject_policies)


def _wrap_up(state: _State, leaf: x509.Certificate) -> str | None:
    """6.1.5 (a), (b) and (g): of the valid policies one must be the user's, if a policy is required."""
    constraints = read_extension(leaf, x509.PolicyConstraints)
    required = constraints is not None and constraints.require_explicit_policy == 0
    if not required and state.explicit > 1:
        return None
    if not state.level:
        return _NONE_VALID
    return None if any(node.wanted for node in state.level.values()) else _NONE_WANTED


def _least(current: int, given: int | None) -> int:
    return current if given is None else min(current, given)


def _is_self_issued(certificate: x509.Certificate) -> bool:
    return canonical_name(certificate.subject) == canonical_name(certificate.issuer)


def _mappings(certificate: x509.Certificate) -> list[tuple[str, str]]:
    """Return each (issuerDomainPolicy, subjectDomainPolicy); ValueError for what is not exactly that."""
    for extension in certificate.extensions:
        if extension.oid == _POLICY_MAPPINGS:
            value = extension.value
            if not isinstance(value, x509.UnrecognizedExtension):
                raise ValueError("the policy mappings have an unexpected form")
            (whole,) = _of_tag(value.value, SEQUENCE)
            return [_pair(each) for each in _of_tag(whole, SEQUENCE)]
    return []


def _pair(content: bytes) -> tuple[str, str]:
    issuer_policy, subject_policy = _of_tag(content, OBJECT_IDENTIFIER)
    return _dotted(issuer_policy), _dotted(subject_policy)


def _of_tag(content: bytes, tag: int) -> list[bytes]:
    """Return the contents of the DER elements that follow each other, each of this tag."""
    found = elements(content)
    if any(each[0] != tag for each in found):
        raise ValueError("the policy mappings are malformed")
    return [body(each) for each in found]


def _dotted(content: bytes) -> str:
    numbers, number = [], 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))
