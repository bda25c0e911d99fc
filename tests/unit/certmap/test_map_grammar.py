# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mapping rules: what they are read as, and where and why one is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.certmap.map_grammar import Template, parse_map
from pam_sc.errors import ConfigError

WHERE = "pam_sc.toml: mapper[0]: rule 1"


def only_template(text: str) -> Template:
    """The template of a rule that has one."""
    (found,) = [each for each in parse_map(text, WHERE).pieces if isinstance(each, Template)]
    return found


def test_rule_is_texts_and_templates() -> None:
    rule = parse_map("(|(mail={subject_rfc822_name})(uid={{a}}{subject_principal.short_name}))", WHERE)
    assert rule.is_filter and not rule.is_fixed
    texts = [each for each in rule.pieces if isinstance(each, str)]
    assert texts == ["(|(mail=", ")(uid={a}", "))"]
    assert [each.part for each in rule.pieces if isinstance(each, Template)] == ["", "short_name"]


@pytest.mark.parametrize("text", ["({subject_uri})", "LDAP:({subject_uri})", "{subject_uri}", "LDAPU1:{subject_uri}"])
def test_name_loses_the_parentheses_around_it(text: str) -> None:
    rule = parse_map(text, WHERE)
    assert not rule.is_filter
    assert rule.pieces == (Template(text="{subject_uri}", name="subject_uri"),)


def test_name_without_a_template_is_fixed() -> None:
    assert parse_map("(alice)", WHERE).pieces == ("alice",)
    assert parse_map("(alice)", WHERE).is_fixed


def test_filter_gets_the_parentheses_that_it_lacks() -> None:
    rule = parse_map("uid={subject_uri}", WHERE)
    assert rule.is_filter and rule.pieces[0] == "(" and rule.pieces[-1] == ")"


@pytest.mark.parametrize(
    ("text", "conversion", "letters"),
    [
        ("{cert}", "bin", ""), ("{cert!base64}", "base64", ""), ("LDAPU1:{cert!SHA256_ucr}", "sha256", "ucr"),
        ("LDAPU1:{cert!sha512-256_}", "sha512-256", ""), ("{subject_dn}", "nss", ""), ("{issuer_dn!ad_ldap}", "ad_ldap", ""),
        ("LDAPU1:{serial_number}", "hex", ""), ("LDAPU1:{serial_number!dec}", "dec", ""),
        ("LDAPU1:{serial_number!HEX_uu}", "hex", "u"), ("LDAPU1:{subject_key_id!hex_r}", "hex", "r"),
    ],
)  # fmt: skip
def test_conversion_is_read(text: str, conversion: str, letters: str) -> None:
    assert only_template(text).conversion == conversion
    assert only_template(text).letters == frozenset(letters)


@pytest.mark.parametrize(
    ("part", "attribute", "index"),
    [("", "", 0), (".", "", 0), (".cn", "cn", 0), (".[2]", "", 2), (".[-1]", "", -1), (".OU[10]", "OU", 10)],
)
def test_component_is_read(part: str, attribute: str, index: int) -> None:
    found = only_template(f"LDAPU1:{{subject_dn_component{part}}}")
    assert (found.attribute, found.index) == (attribute, index)


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("", 1, "the rule is empty"),
        ("LDAP:()", 6, "the rule is empty"),
        ("{subject_dn", 1, "a { without its }"),
        ("a}", 2, "a } without its {"),
        ("{subject_dn}}}", 13, "right behind a template"),
        ("({mail})", 3, "unknown template {mail}"),
        ("{SUBJECT_DN}", 2, "unknown template"),
        ("{subject_dn.cn}", 1, "has an unknown part"),
        ("{subject_dn!rfc}", 1, "has an unknown conversion, expected nss or nss_ldap"),
        ("{subject_directory_name!ad}", 1, "has an unknown conversion, expected none"),
        ("LDAPU1:{subject_key_id!dec}", 8, "has an unknown conversion, expected hex"),
        ("LDAPU1:{cert!md4}", 8, "has an unknown conversion, expected bin or base64 or md5"),
        ("LDAPU1:{cert!sha256_x}", 8, "has an unknown conversion"),
        ("{cert!sha256}", 1, "{cert!sha256} needs the prefix LDAPU1:"),
        ("LDAP:({sid})", 7, "{sid} needs the prefix LDAPU1:"),
        ("LDAPU1:{sid.domain}", 8, "has an unknown part, expected rid"),
        ("LDAPU1:{subject_dn_component.[0]}", 8, "none is number 0"),
        ("LDAPU1:{subject_dn_component!nss}", 8, "has an unknown part"),
        ("LDAPU2:{sid}", 1, "rules of type 'LDAPU2' are not known, expected LDAP or LDAPU1"),
        ("(uid={subject_uri}", 1, "the parentheses of the filter are not in pairs"),
        ("(uid={subject_uri})(cn=*)", 1, "goes on behind its last parenthesis"),
        ("(uid={subject_uri}))(|(uid=*", 1, "goes on behind its last parenthesis"),
    ],
)
def test_error_says_where_and_what(text: str, at: int, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)) as caught:
        parse_map(text, WHERE)
    assert str(caught.value).startswith(f"{WHERE}: map ") and f", character {at}: " in str(caught.value)


@given(st.lists(st.sampled_from(["{", "}", "(", ")", "=", "LDAPU1:", "subject_dn", "cert", "!", ".", "_", "[1]", "é", "\0"])))
def test_nothing_but_our_own_error_escapes(pieces: list[str]) -> None:
    try:
        parse_map("".join(pieces), WHERE)
    except ConfigError as error:
        assert WHERE in str(error)
