# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificate policies of a path: required, inherited, mapped and inhibited."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography import x509

from pam_sc.decision.evidence import NoPath, ValidPath
from pam_sc.decision.policy import PathInputs, Policy
from pam_sc.decision.reasons import Reason
from pam_sc.trust.anchors import PathCertificate, Trust, read_path_certificate
from pam_sc.trust.path import find_path
from pam_sc.trust.policies import policy_problem
from tests.support.der import tlv
from tests.support.pki import CertificateAuthority, now

ROOT = CertificateAuthority("Root")
P1, P2, ANY = "1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2", "2.5.29.32.0"
P1_DER, P2_DER = bytes.fromhex("2b06010401868d1f01"), bytes.fromhex("2b06010401868d1f02")
ANY_DER = bytes.fromhex("551d2000")

Extension = tuple[x509.ExtensionType, bool]


def policies(*oids: str) -> Extension:
    stated = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    return x509.CertificatePolicies(stated), False


def constraints(explicit: int | None = None, mapping: int | None = None) -> Extension:
    return x509.PolicyConstraints(require_explicit_policy=explicit, inhibit_policy_mapping=mapping), True


def mapped(issuer_policy: bytes, subject_policy: bytes) -> Extension:
    pair = tlv(0x30, tlv(0x06, issuer_policy) + tlv(0x06, subject_policy))
    return raw_mappings(tlv(0x30, pair))


def raw_mappings(value: bytes) -> Extension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), value), True


def inhibit_any(skip: int) -> Extension:
    return x509.InhibitAnyPolicy(skip), True


def problem(
    *levels: list[Extension],
    names: tuple[str, ...] = ("CA 0", "CA 1", "CA 2"),
    leaf: str = "alice",
    inputs: PathInputs | None = None,
) -> str | None:
    """What is wrong with a path whose certificates, from below the anchor to the leaf, have these extensions."""
    authority = ROOT
    path = [ROOT.certificate]
    for name, extensions in zip(names, levels[:-1], strict=False):
        authority = authority.subordinate(name, extensions=extensions)
        path.insert(0, authority.certificate)
    path.insert(0, authority.issue(common_name=leaf, key="p256", extensions=levels[-1]).certificate)
    return policy_problem(path, inputs)


def test_path_without_policies_is_fine_where_none_is_required() -> None:
    assert problem([], []) is None


def test_path_without_policies_is_refused_where_one_is_required() -> None:
    assert problem([constraints(explicit=0)], []) is not None


def test_policy_that_runs_through_the_path_satisfies_the_requirement() -> None:
    assert problem([constraints(explicit=0), policies(P1)], [policies(P1)]) is None


@pytest.mark.parametrize("leaf", [[], [policies(P2)]])
def test_other_or_missing_policy_of_the_leaf_breaks_the_requirement(leaf: list[Extension]) -> None:
    assert problem([constraints(explicit=0), policies(P1)], leaf) is not None


def test_policy_that_an_intermediate_lacks_breaks_the_requirement() -> None:
    assert problem([constraints(explicit=0), policies(P1)], [policies(P2)], [policies(P1)]) is not None


def test_requirement_that_begins_below_the_leaf_asks_nothing() -> None:
    assert problem([constraints(explicit=2)], []) is None
    assert problem([constraints(explicit=1)], []) is not None


def test_requirement_that_the_leaf_itself_states_counts() -> None:
    assert problem([], [constraints(explicit=0)]) is not None
    assert problem([policies(P1)], [constraints(explicit=0), policies(P1)]) is None
    assert problem([], [constraints(explicit=1)]) is None


def test_any_policy_stands_for_each_policy() -> None:
    assert problem([constraints(explicit=0), policies(ANY)], [policies(P1)]) is None
    assert problem([constraints(explicit=0), policies(P1)], [policies(ANY)]) is None


def test_any_policy_that_is_inhibited_stands_for_none() -> None:
    assert problem([constraints(explicit=0), policies(P1), inhibit_any(0)], [policies(ANY)]) is not None
    assert problem([constraints(explicit=0), policies(P1), inhibit_any(1)], [policies(ANY)]) is None


def test_any_policy_of_the_leaf_that_is_inhibited_is_no_policy_even_below_any_policy() -> None:
    assert problem([constraints(explicit=0), policies(ANY), inhibit_any(0)], [policies(ANY)]) is not None
    assert problem([constraints(explicit=0), policies(ANY), inhibit_any(0)], [policies(P1)]) is None


def test_self_issued_authority_may_state_any_policy_where_it_is_inhibited() -> None:
    levels = ([constraints(explicit=0), policies(P1), inhibit_any(0)], [policies(ANY)], [policies(P1)])
    assert problem(*levels, names=("CA", "CA")) is None
    assert problem(*levels, names=("CA", "Other")) is not None


def test_self_issued_leaf_may_not_state_any_policy_where_it_is_inhibited() -> None:
    authority = [constraints(explicit=0), policies(P1), inhibit_any(0)]
    assert problem(authority, [policies(ANY)], names=("alice",), leaf="alice") is not None


def test_self_issued_authority_does_not_count_as_a_step() -> None:
    levels = ([constraints(explicit=0), policies(P1), inhibit_any(1)], [policies(P1)], [policies(ANY)])
    assert problem(*levels, names=("CA", "CA")) is None
    assert problem(*levels, names=("CA", "Other")) is not None


def test_mapped_policy_satisfies_the_requirement() -> None:
    authority = [constraints(explicit=0), policies(P1), mapped(P1_DER, P2_DER)]
    assert problem(authority, [policies(P2)]) is None
    assert problem(authority, [policies(P1)]) is not None


def test_mapping_that_is_inhibited_satisfies_nothing() -> None:
    above = [constraints(explicit=0, mapping=0), policies(P1)]
    assert problem(above, [policies(P1), mapped(P1_DER, P2_DER)], [policies(P2)]) is not None
    above = [constraints(explicit=0, mapping=1), policies(P1)]
    assert problem(above, [policies(P1), mapped(P1_DER, P2_DER)], [policies(P2)]) is None


@pytest.mark.parametrize("pair", [(ANY_DER, P1_DER), (P1_DER, ANY_DER)])
def test_mapping_from_or_to_any_policy_is_refused(pair: tuple[bytes, bytes]) -> None:
    assert problem([policies(P1), mapped(*pair)], [policies(P1)]) == "a policy mapping names anyPolicy"


def test_long_list_of_mappings_is_read() -> None:
    pair = tlv(0x30, tlv(0x06, P1_DER) + tlv(0x06, P2_DER))
    other = tlv(0x30, tlv(0x06, P2_DER) + tlv(0x06, P2_DER))
    for count in (5, 40):
        authority = [constraints(explicit=0), policies(P1), raw_mappings(tlv(0x30, other * count + pair))]
        assert problem(authority, [policies(P2)]) is None
        assert problem(authority, [policies(P1)]) is not None


@pytest.mark.parametrize("size", [127, 128, 129, 255, 256])
def test_mappings_of_every_size_are_read(size: int) -> None:
    pair = tlv(0x30, tlv(0x06, P1_DER) + tlv(0x06, P2_DER))
    others = (
        tlv(0x30, tlv(0x06, P2_DER) + tlv(0x06, b"\x2a" + b"\x01" * arcs)) + pair for arcs in range(size)
    )
    content = next(each for each in others if len(each) == size)
    authority = [constraints(explicit=0), policies(P1), raw_mappings(tlv(0x30, content))]
    assert problem(authority, [policies(P2)]) is None


@pytest.mark.parametrize(
    "value",
    [b"", b"\x30", b"\x31\0", b"\x30\x80\0\0", b"\x30\x03\x30\x01\x06", b"\x30\x04\x30\x02\x06\0", b"\x30\x84\xff\xff"],
)
def test_malformed_mappings_are_refused(value: bytes) -> None:
    found = problem([policies(P1), raw_mappings(value)], [policies(P1)])
    assert found is not None
    assert found.startswith("its policies cannot be read")


# ---------------------------------------------------------------- what the administrator demands


def demanding(*oids: str, **flags: bool) -> PathInputs:
    """One of these policies is required."""
    return PathInputs(policies=frozenset(oids), explicit_policy=True, **flags)


NONE_WANTED = "none of the certificate policies that are asked for is valid, but one is required"
NONE_VALID = "no certificate policy is valid, but one is required"


def test_policy_that_is_asked_for_must_run_through_the_path() -> None:
    levels = ([policies(P1, P2)], [policies(P1)])
    assert problem(*levels, inputs=demanding(P1)) is None
    assert problem(*levels, inputs=demanding(P1, P2)) is None
    assert problem(*levels, inputs=demanding(P2)) == NONE_WANTED
    assert problem(*levels, inputs=demanding(ANY)) is None
    assert problem([policies(P1)], [policies(P2)], inputs=demanding(P1, P2)) == NONE_VALID
    assert problem([], [], inputs=demanding(P1)) == NONE_VALID


def test_no_policy_at_all_is_never_enough_where_one_is_required() -> None:
    assert problem([policies(P1)], [policies(P1)], inputs=demanding()) == NONE_WANTED


def test_policies_that_are_asked_for_are_no_matter_where_none_is_required() -> None:
    assert problem([policies(P1)], [policies(P1)], inputs=PathInputs(policies=frozenset({P2}))) is None
    assert problem([constraints(explicit=0), policies(P1)], [policies(P1)], inputs=PathInputs(policies=frozenset({P2}))) == (
        NONE_WANTED
    )


def test_any_policy_down_to_the_leaf_is_whatever_is_asked_for() -> None:
    assert problem([policies(ANY)], [policies(ANY)], inputs=demanding(P1)) is None
    assert problem([policies(ANY)], [policies(P2)], inputs=demanding(P1)) == NONE_WANTED
    assert problem([policies(P1)], [policies(ANY)], inputs=demanding(P2)) == NONE_WANTED


def test_mapped_policy_is_asked_for_by_its_name_in_the_anchor_s_domain() -> None:
    levels = ([policies(P1), mapped(P1_DER, P2_DER)], [policies(P2)])
    assert problem(*levels, inputs=demanding(P1)) is None
    assert problem(*levels, inputs=demanding(P2)) == NONE_WANTED


def test_policy_below_any_policy_that_is_mapped_is_asked_for_by_its_first_name() -> None:
    levels = ([policies(ANY), mapped(P1_DER, P2_DER)], [policies(P2)])
    assert problem(*levels, inputs=demanding(P1)) is None
    assert problem(*levels, inputs=demanding(P2)) == NONE_WANTED


def test_two_policies_that_are_mapped_to_one_are_both_its_names() -> None:
    both = raw_mappings(tlv(0x30, b"".join(
        tlv(0x30, tlv(0x06, first) + tlv(0x06, second)) for first, second in ((P1_DER, P1_DER), (P2_DER, P1_DER))
    )))  # fmt: skip
    levels = ([policies(P1, P2), both], [policies(P1)])
    assert problem(*levels, inputs=demanding(P1)) is None
    assert problem(*levels, inputs=demanding(P2)) is None
    assert problem(*levels, inputs=demanding("1.2.3")) == NONE_WANTED


def test_mapping_that_the_administrator_inhibits_does_not_count() -> None:
    levels = ([policies(P1), mapped(P1_DER, P2_DER)], [policies(P2)])
    assert problem(*levels, inputs=demanding(P1, inhibit_policy_mapping=True)) == NONE_VALID
    assert problem([policies(P1)], [policies(P1)], inputs=demanding(P1, inhibit_policy_mapping=True)) is None


def test_any_policy_that_the_administrator_inhibits_does_not_count() -> None:
    assert problem([policies(ANY)], [policies(P1)], inputs=demanding(P1, inhibit_any_policy=True)) == NONE_VALID
    assert problem([policies(P1)], [policies(P1)], inputs=demanding(P1, inhibit_any_policy=True)) is None


def test_web_of_mappings_costs_no_more_than_its_size() -> None:
    """A policy tree would have 40 ** 8 leaves."""
    names = [bytes.fromhex("2b06010401868d1f02") + bytes([number]) for number in range(40)]
    pairs = b"".join(tlv(0x30, tlv(0x06, first) + tlv(0x06, second)) for first in names for second in names)
    stated = policies(*(f"{P2}.{number}" for number in range(40)))
    level = [stated, raw_mappings(tlv(0x30, pairs))]
    start = time.monotonic()
    assert problem(*[level] * 8, [stated], names=tuple(f"CA {n}" for n in range(8)), inputs=demanding(f"{P2}.7")) is None
    assert problem(*[level] * 8, [stated], names=tuple(f"CA {n}" for n in range(8)), inputs=demanding(P1)) == NONE_WANTED
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(("leaf", "valid"), [([policies(P1)], True), ([policies(P2)], False)])
def test_policies_are_part_of_the_validation_of_a_path(leaf: list[Any], valid: bool) -> None:
    issuing = ROOT.subordinate("Issuing", extensions=[constraints(explicit=0), policies(P1)])
    anchor = read_path_certificate(ROOT.der)
    assert isinstance(anchor, PathCertificate)
    trust = Trust(anchors=(anchor,))
    found = find_path(issuing.issue(key="p256", extensions=leaf).der, [issuing.der], trust, Policy(), now())
    assert isinstance(found, ValidPath) is valid
    if isinstance(found, NoPath):
        assert found.reason is Reason.PATH_INVALID
        assert "no certificate policy is valid" in found.detail
