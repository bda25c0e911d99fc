# SPDX-License-Identifier: LGPL-2.1-or-later
"""Elements of DER: only the shortest form, and every byte belongs to an element."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_sc.decision.der import body, children, element, elements, read_oid
from tests.support.certificate_spec import oid_der
from tests.support.der import tlv


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_body_of_any_size_is_read(size: int) -> None:
    assert body(tlv(0x0C, b"x" * size)) == b"x" * size


@pytest.mark.parametrize(
    ("der", "why"),
    [
        ("0c0361", "it ends early"),
        ("0c0361626364", "bytes follow it"),
        ("0c0161 0c0162", "bytes follow it"),
        ("0c8003616263", "a size is malformed"),
        ("0cff616263", "a size is malformed"),
        ("0c8500000000036162 63", "a size is malformed"),
        ("0c8103616263", "a size is not in its shortest form"),
        ("0c82007f" + "61" * 0x7F, "a size is not in its shortest form"),
        ("0c820080" + "61" * 0x80, "a size is not in its shortest form"),
        ("0c8400000003616263", "a size is not in its shortest form"),
        ("1f0c03616263", "a tag has more than one byte"),
        ("bf2203616263", "a tag has more than one byte"),
    ],
)
def test_what_is_not_one_element_in_its_shortest_form_is_refused(der: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        body(bytes.fromhex(der))


@pytest.mark.parametrize("der", ["", "0c", "0c81", "30820100"])
def test_element_that_ends_within_its_size_is_refused(der: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        body(bytes.fromhex(der))


def test_children_are_whole_and_leave_no_byte() -> None:
    assert children(bytes.fromhex("3007 0c0161 30020500")) == [bytes.fromhex("0c0161"), bytes.fromhex("30020500")]
    with pytest.raises((ValueError, IndexError)):
        children(bytes.fromhex("3004 0c0161 30"))


@given(st.binary(max_size=80))
@settings(max_examples=500, deadline=None, database=None)
def test_any_octets_are_elements_without_a_gap_or_refused(octets: bytes) -> None:
    try:
        found = elements(octets)
    except (ValueError, IndexError):
        return
    assert b"".join(found) == octets
    for each in found:
        tag, start, end = element(each, 0)
        assert tlv(tag, each[start:end]) == each


@pytest.mark.parametrize("oid", ["2.5.4.3", "1.3.6.1.4.1.311.20.2.3", "0.9.2342.19200300.100.1.1", "2.999.1", "1.39", "0.0"])
def test_object_identifier_is_read(oid: str) -> None:
    assert read_oid(oid_der(oid)) == oid


@pytest.mark.parametrize(
    "der",
    ["0600", "060255 84".replace(" ", ""), "0603558003", "06028055", "0c03550403", "0642" + "55" * 0x42, "06035504"],
)
def test_object_identifier_that_has_another_encoding_or_no_end_is_refused(der: str) -> None:
    with pytest.raises(ValueError, match=r"malformed|ends early"):
        read_oid(bytes.fromhex(der))


@given(st.lists(st.integers(0, 2**70), max_size=6), st.integers(0, 2), st.integers(0, 39))
@settings(max_examples=200, deadline=None, database=None)
def test_object_identifiers_come_back_as_they_were(rest: list[int], first: int, second: int) -> None:
    oid = ".".join(map(str, (first, second, *rest)))
    encoded = oid_der(oid)
    if len(encoded) <= 66:
        assert read_oid(encoded) == oid
