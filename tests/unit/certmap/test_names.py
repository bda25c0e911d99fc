# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names as rules see them, in each form, and the components of one."""

from __future__ import annotations

import pytest

from pam_sc.certmap.names import component, render_name
from pam_sc.decision.distinguished_name import Attribute, DistinguishedName

C, O, CN, ST, UID, OU = "2.5.4.6", "2.5.4.10", "2.5.4.3", "2.5.4.8", "0.9.2342.19200300.100.1.1", "2.5.4.11"  # noqa: E741


def name(*relative_names: tuple[tuple[str, str], ...]) -> DistinguishedName:
    """A name in the order of the encoding."""
    return DistinguishedName(
        relative_names=tuple(tuple(Attribute(oid, value) for oid, value in each) for each in relative_names)
    )


def plain(*attributes: tuple[str, str]) -> DistinguishedName:
    """A name with one attribute in each relative name."""
    return name(*((each,) for each in attributes))


PERSON = plain((C, "DE"), (ST, "Land"), (UID, "1"), (CN, "Jörg"))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("nss", "CN=Jörg,UID=1,ST=Land,C=DE"),
        ("nss_ldap", "CN=Jörg,UID=1,ST=Land,C=DE"),
        ("nss_x500", "C=DE,ST=Land,UID=1,CN=Jörg"),
        ("ad", "C=DE,S=Land,OID.0.9.2342.19200300.100.1.1=1,CN=Jörg"),
        ("ad_x500", "C=DE,S=Land,OID.0.9.2342.19200300.100.1.1=1,CN=Jörg"),
        ("ad_ldap", "CN=Jörg,OID.0.9.2342.19200300.100.1.1=1,S=Land,C=DE"),
    ],
)
def test_form_decides_on_order_and_names(form: str, expected: str) -> None:
    assert render_name(PERSON, form) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('a, b + "c" <d>; \\e=', 'a\\, b \\+ \\"c\\" \\<d\\>\\; \\\\e='), (" a ", "\\ a\\ "), (" ", "\\ "), ("#a", "\\#a"),
        ("a#", "a#"), ("\\ ", "\\\\\\ "), ("a b", "a b"),
    ],
)  # fmt: skip
def test_value_is_escaped_so_that_no_other_name_has_its_text(value: str, expected: str) -> None:
    assert render_name(plain((CN, value))) == f"CN={expected}"


def test_several_attributes_of_one_relative_name_are_joined_by_a_plus() -> None:
    both = name(((O, "x"),), ((CN, "u"), (UID, "1")))
    assert render_name(both) == "CN=u+UID=1,O=x"
    assert render_name(both, "nss_x500") == "O=x,CN=u+UID=1"
    assert render_name(both) != render_name(plain((O, "x"), (UID, "1"), (CN, "u")))


def test_attribute_without_a_name_is_its_object_identifier() -> None:
    unknown = plain(("1.2.3.4", "v"), ("0.9.2342.19200300.100.1.44", "w"))
    assert render_name(unknown) == "0.9.2342.19200300.100.1.44=w,1.2.3.4=v"
    assert render_name(unknown, "ad") == "OID.1.2.3.4=v,OID.0.9.2342.19200300.100.1.44=w"


def test_name_without_certain_text_has_none() -> None:
    assert render_name(DistinguishedName()) is None
    assert render_name(plain(*[(CN, "a" * 250)] * 9)) is None
    broken = DistinguishedName(relative_names=((Attribute(CN, "a"),), (Attribute(OU, "b\0", "holds a control character"),)))
    assert render_name(broken) is None
    assert component(broken, "OU", 0) is None
    assert component(broken, "CN", 0) == "a"


@pytest.mark.parametrize(
    ("attribute", "index", "expected"),
    [
        ("", 0, "Jörg"), ("", 1, "Jörg"), ("", 4, "DE"), ("", 5, None), ("", -1, "DE"), ("", -4, "Jörg"), ("", -5, None),
        ("cn", 0, "Jörg"), ("uid", 0, "1"), ("UID", 2, "1"), ("UID", -3, "1"), ("UID", 1, None), ("ou", 0, None),
        ("S", 0, None),
    ],
)  # fmt: skip
def test_component_is_found_by_name_and_place(attribute: str, index: int, expected: str | None) -> None:
    assert component(PERSON, attribute, index) == expected


def test_most_specific_one_of_a_name_is_the_component() -> None:
    assert component(plain((CN, "far"), (CN, "near"), (O, "x")), "CN", 0) == "near"


def test_component_that_could_be_two_is_none() -> None:
    both = name(((O, "x"),), ((CN, "u"), (UID, "1"), (UID, "2")))
    assert component(both, "", 0) is None
    assert component(both, "", 1) is None
    assert component(both, "UID", 0) is None
    assert component(both, "CN", 0) == "u"
    assert component(both, "CN", 1) == "u"


def test_component_has_no_backslashes() -> None:
    assert component(plain((CN, "a, b")), "", 0) == "a, b"


def test_empty_name_has_no_component() -> None:
    assert component(DistinguishedName(), "", 0) is None
    assert component(DistinguishedName(), "CN", 1) is None
