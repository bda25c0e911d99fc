# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `ldap`: what it searches for, and what it believes of an answer."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.decision.alternative_names import NameKind
from pam_sc.decision.evidence import MappedAccounts, MappingFailed
from pam_sc.decision.identity import USER_ID, Subject, read_subject
from pam_sc.decision.reasons import Reason
from pam_sc.directory import escape_filter_value
from pam_sc.errors import ConfigError, MapperError
from pam_sc.mappers.ldap import LdapMapper
from pam_sc.mapping import LoadedMapper, MapperContext, map_certificate
from pam_sc.services import CannotMap, DirectoryEntry, DirectorySearch, DoesNotMap, Services
from tests.support.pki import CertificateAuthority
from tests.support.subjects import subject_of

AUTHORITY = CertificateAuthority("Example CA")
LEAF = AUTHORITY.issue(key="p256", serial=4711)
SUBJECT = read_subject(LEAF.der)
BASE = {"uri": "ldap://ldap.example.test", "tls": "off", "base": "dc=example,dc=test"}
WIDE = "alice".translate({ord(letter): ord(letter) + 0xFEE0 for letter in "alice"})
"""In letters of full width."""
POSIX = "(objectClass=posixAccount)"


class Canned:
    """A directory with one answer. `asked` are the searches."""

    def __init__(self, *entries: dict[str, tuple[bytes, ...]], failure: CannotMap | None = None) -> None:
        self.asked: list[DirectorySearch] = []
        self._entries = tuple(DirectoryEntry(f"cn={number}", each) for number, each in enumerate(entries))
        self._failure = failure

    def search(self, wanted: DirectorySearch) -> tuple[DirectoryEntry, ...]:
        self.asked.append(wanted)
        if self._failure is not None:
            raise self._failure
        return self._entries


def mapper(directory: Canned, **table: Any) -> LdapMapper:
    context = MapperContext("[[mapper]] 1", frozenset({0, os.getuid()}), Services(directory=directory))
    return LdapMapper.from_table({**BASE, **table}, context)


def entry(uid: str | bytes = "alice", **attributes: bytes | tuple[bytes, ...]) -> dict[str, tuple[bytes, ...]]:
    held = {key.lower(): value if isinstance(value, tuple) else (value,) for key, value in attributes.items()}
    return {"uid": (uid if isinstance(uid, bytes) else uid.encode(),), **held}


def ssh_line(key: Any = LEAF.key, comment: str = "") -> bytes:
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return bytes(line + comment.encode())


def claims(table: dict[str, Any], held: dict[str, tuple[bytes, ...]], subject: Subject = SUBJECT, account: str = "alice") -> bool:
    """Whether the account's entry, which holds this, connects the certificate with the account; a reason is a no."""
    try:
        return mapper(Canned(held), **table).claims(subject, account)
    except DoesNotMap:
        return False


# ---------------------------------------------------------------- what is searched for


def test_account_is_searched_for_by_name_and_certificate_by_itself() -> None:
    directory = Canned(entry(userCertificate=LEAF.der))
    asking = mapper(directory)
    assert asking.claims(SUBJECT, "alice")
    assert asking.accounts(SUBJECT) == ("alice",)
    by_account, by_certificate = directory.asked
    assert by_account.filter == f"(&{POSIX}(uid=alice))"
    exactly = r"\7b\20serialNumber\204711\2c\20issuer\20rdnSequence\3a\22CN\3dExample\20CA\2cO\3dExample\22\20\7d"
    octets = escape_filter_value(LEAF.der)
    assert by_certificate.filter == f"(&{POSIX}(|(userCertificate={exactly})(userCertificate={octets})))"
    assert {by_account.attributes, by_certificate.attributes} == {("uid", "userCertificate", "userCertificate;binary")}
    assert (by_account.base, by_account.scope, by_account.entries_max) == ("dc=example,dc=test", "subtree", 1)


def test_account_stands_where_the_filter_says() -> None:
    directory = Canned(entry(sAMAccountName=b"alice", userCertificate=LEAF.der))
    asking = mapper(directory, filter="(&(objectClass=user)(sAMAccountName={account})(!(x={account})))",
                    account_attribute="sAMAccountName")
    assert asking.claims(SUBJECT, "alice")
    assert asking.accounts(SUBJECT) == ("alice",)
    assert directory.asked[0].filter == "(&(objectClass=user)(sAMAccountName=alice)(!(x=alice)))"
    assert directory.asked[1].filter.startswith("(&(&(objectClass=user)(sAMAccountName=*)(!(x=*)))(|(userCertificate=")


@pytest.mark.parametrize("account", ["*", "a)(uid=*", "a*", "alice)(|(uid=*", "ä", "a\\2a", "a b"])
def test_no_name_of_an_account_becomes_part_of_the_filter(account: str) -> None:
    for written in (POSIX, "(uid={account})"):
        directory = Canned()
        with pytest.raises(DoesNotMap, match="no entry of the account"):
            mapper(directory, filter=written).claims(SUBJECT, account)
        asked = directory.asked[0].filter
        assert asked.count("(") == asked.count(")") == (1 if "{" in written else 3)
        assert "*" not in asked.replace(POSIX, "")


INJECTIONS = ["*)(uid=*", "*", ")(uid=*", "alice)(|(uid=*", "(", ")", "\\", "\\2a", "*)(objectClass=*))(&(uid=root"]


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize("item", ["cn", "email", "upn", "uid", "subject"])
def test_no_value_of_a_certificate_becomes_part_of_the_filter(item: str, value: str) -> None:
    """CVE-2022-4254: whoever got a certificate with such a value was whoever the directory found."""
    names = [(NameKind.MAIL, value), (NameKind.UPN, value)]
    subject = subject_of(value, attributes=[(USER_ID, value)], names=names)
    if item == "subject":
        subject = read_subject(AUTHORITY.issue(common_name=value, key="p256").der)
    directory = Canned(entry("root", x=b"root"))
    asking = mapper(directory, attribute_map=[f"x={item}"])
    with pytest.raises(DoesNotMap, match="does not hold what was searched for"):
        asking.accounts(subject)
    (asked,) = directory.asked
    values = len(asking.sees(subject))
    assert asked.filter.count("(") == asked.filter.count(")") == 5 + values
    assert "*" not in asked.filter


@given(st.text(max_size=40))
def test_filter_has_one_shape_whatever_a_certificate_says(value: str) -> None:
    directory = Canned()
    try:
        mapper(directory, attribute_map=["cn=cn"]).accounts(subject_of(value))
    except DoesNotMap:
        pass
    for asked in directory.asked:
        assert asked.filter.count("(") == 6 and "*" not in asked.filter


def test_lines_of_the_map_are_alternatives_and_their_parts_are_not() -> None:
    subject = subject_of("Alice", attributes=[(USER_ID, "u1")], names=[(NameKind.MAIL, "a@x"), (NameKind.MAIL, "b@x")])
    directory = Canned()
    with pytest.raises(DoesNotMap):
        mapper(directory, attribute_map=["mail=email&cn=cn", "employeeNumber=uid"]).accounts(subject)
    assert directory.asked[0].filter == (
        f"(&{POSIX}(|(&(|(mail=a@x)(mail=b@x))(|(cn=Alice)))(&(|(employeeNumber=u1)))))")
    assert directory.asked[0].attributes == ("uid", "mail", "cn", "employeeNumber")


def test_line_whose_item_the_certificate_lacks_is_not_searched_for() -> None:
    directory = Canned()
    with pytest.raises(DoesNotMap, match="holds nothing that an entry could hold"):
        mapper(directory, attribute_map=["mail=email&cn=cn"]).accounts(subject_of("Alice"))
    assert directory.asked == []


# ---------------------------------------------------------------- what is believed


@pytest.mark.parametrize(
    ("held", "claimed"),
    [
        ({"userCertificate": LEAF.der}, True),
        ({"userCertificate": (AUTHORITY.der, LEAF.der)}, True),
        ({"userCertificate": LEAF.der + b"\0"}, False),
        ({"userCertificate": LEAF.der[:-1]}, False),
        ({"userCertificate": AUTHORITY.issue(key="p256", serial=4711).der}, False),
        ({"userCertificate": ()}, False),
        ({"cACertificate": LEAF.der}, False),
        ({}, False),
    ],
)
def test_entry_must_hold_this_very_certificate(held: dict[str, Any], claimed: bool) -> None:
    assert claims({}, entry(**held)) is claimed
    directory = Canned(entry(**held))
    if claimed:
        assert mapper(directory).accounts(SUBJECT) == ("alice",)
    else:
        with pytest.raises(DoesNotMap, match="does not hold what was searched for"):
            mapper(directory).accounts(SUBJECT)


@pytest.mark.parametrize("uid", ["bob", "alice2", WIDE, "", b"alice\xff", "alice "])
def test_entry_must_be_the_account_s(uid: str | bytes) -> None:
    """Directories compare as RFC 4518 prepares: letters of full width are the plain ones."""
    with pytest.raises(DoesNotMap, match="has another uid, or shows none"):
        mapper(Canned(entry(uid, userCertificate=LEAF.der))).claims(SUBJECT, "alice")


def test_case_of_an_account_does_not_count_as_in_directories() -> None:
    assert claims({}, entry("ALICE", userCertificate=LEAF.der))


@pytest.mark.parametrize("uid", ["", "-x", "a/b", "a\nb", "a\0", b"\xff"])
def test_unusable_name_is_no_account(uid: str | bytes) -> None:
    with pytest.raises(DoesNotMap, match="has no uid that can be an account"):
        mapper(Canned(entry(uid, userCertificate=LEAF.der))).accounts(SUBJECT)


def test_every_name_of_an_entry_is_given_so_that_two_are_refused() -> None:
    held = {**entry(userCertificate=LEAF.der), "uid": (b"alice", b"root")}
    assert mapper(Canned(held)).accounts(SUBJECT) == ("alice", "root")


def test_key_counts_and_not_the_certificate_around_it() -> None:
    table = {"ssh_attribute": "sshPublicKey"}
    other = AUTHORITY.issue(common_name="other", key=CertificateAuthority(key="p256").private_key)
    held = entry(sshPublicKey=(ssh_line(other.key), ssh_line(comment=" alice@host")))
    assert claims(table, held)
    assert not claims(table, entry(sshPublicKey=ssh_line(other.key)))
    directory = Canned(held)
    assert mapper(directory, **table).accounts(SUBJECT) == ("alice",)
    assert directory.asked[0].filter.startswith(rf"(&{POSIX}(sshPublicKey=ecdsa-sha2-nistp256\20")


@pytest.mark.parametrize("line", [
    b'command="x" ' + ssh_line(), b"cert-authority " + ssh_line(), b"# " + ssh_line(), ssh_line().replace(b" ", b""),
    ssh_line().replace(b"ecdsa-sha2-nistp256 ", b"ssh-rsa "), ssh_line()[:-2], ssh_line() + b"=", b"", b"\xff",
    b"ecdsa-sha2-nistp256 " + base64.b64encode(base64.b64decode(ssh_line().split()[1]) + b"\0"),
    b"x\n" + ssh_line(),
])
def test_line_that_is_no_plain_key_is_none(line: bytes) -> None:
    assert not claims({"ssh_attribute": "sshPublicKey"}, entry(sshPublicKey=line))


@pytest.mark.parametrize(
    ("held", "ignoring", "exact"),
    [
        (b"alice@example.test", True, True), (b"Alice@Example.TEST", True, False), (b"alice@example.tes", False, False),
        (b"alice@example.test ", False, False), (b"\xff", False, False), (WIDE.encode() + b"@example.test", False, False),
        (b"bob@example.test", False, False), (b"", False, False),
    ],
)
def test_value_is_compared_again(held: bytes, ignoring: bool, exact: bool) -> None:
    subject = subject_of(names=[(NameKind.MAIL, "alice@example.test")])
    table: dict[str, Any] = {"attribute_map": ["mail=email"]}
    assert claims(table, entry(mail=held), subject) is ignoring
    assert claims({**table, "ignore_case": False}, entry(mail=held), subject) is exact
    assert claims(table, entry(mail=(b"x", held)), subject) is ignoring, "every value of the entry counts"


def test_all_parts_of_a_line_must_hold() -> None:
    subject = subject_of("Alice", names=[(NameKind.MAIL, "a@x")])
    table = {"attribute_map": ["mail=email&cn=cn"]}
    assert claims(table, entry(mail=b"a@x", cn=b"Alice"), subject)
    assert not claims(table, entry(mail=b"a@x", cn=b"Bob"), subject)
    assert not claims(table, entry(mail=b"a@x"), subject)
    assert not claims(table, entry(mail=b"a@x", cn=b"Alice"), subject_of("Alice"))


def test_certificate_may_stand_in_a_line() -> None:
    table = {"attribute_map": ["pkiUser=cert&mail=email"], "attribute": "userCertificate"}
    leaf = AUTHORITY.issue(key="p256", san=[x509.RFC822Name("a@x")])
    assert claims(table, entry(pkiUser=leaf.der, mail=b"a@x"), read_subject(leaf.der))
    assert not claims(table, entry(userCertificate=leaf.der, mail=b"a@x"), read_subject(leaf.der))


def test_certificate_that_could_not_be_read_maps_to_nobody() -> None:
    for table in ({}, {"ssh_attribute": "sshPublicKey"}, {"attribute_map": ["cn=cn"]}):
        assert not claims(table, entry(userCertificate=b"", sshPublicKey=b"", cn=b""), Subject())
        with pytest.raises(DoesNotMap, match="holds nothing"):
            mapper(Canned(), **table).accounts(Subject())


# ---------------------------------------------------------------- what a login makes of it


def test_no_entry_is_no_account_and_says_so() -> None:
    loaded = (LoadedMapper("ldap", mapper(Canned())),)
    assert map_certificate(loaded, SUBJECT, "alice") == MappedAccounts(
        (), "ldap: the directory has no entry of the account")
    assert map_certificate(loaded, SUBJECT) == MappedAccounts(
        (), "ldap: no entry of the directory holds what the certificate has")


def test_directory_that_cannot_answer_is_a_failure_with_its_reason() -> None:
    down = Canned(failure=CannotMap(Reason.DIRECTORY_TIMEOUT, "too slow"))
    loaded = (LoadedMapper("ldap", mapper(down)),)
    assert map_certificate(loaded, SUBJECT, "alice") == MappingFailed("ldap: too slow", Reason.DIRECTORY_TIMEOUT)
    assert len(down.asked) == 1


def test_account_that_is_named_costs_one_question() -> None:
    directory = Canned()
    map_certificate((LoadedMapper("ldap", mapper(directory)),), SUBJECT, "alice")
    assert len(directory.asked) == 1


def test_nobody_is_asked_where_the_configuration_is_only_checked() -> None:
    asking = LdapMapper.from_table(BASE, MapperContext("x", frozenset({0})))
    with pytest.raises(MapperError, match="nobody here to ask"):
        asking.accounts(SUBJECT)


def test_it_shows_what_an_entry_must_hold_and_what_it_searched_for() -> None:
    asking = mapper(Canned())
    assert asking.sees(SUBJECT) == ("serialNumber 4711, issuer CN=Example CA,O=Example",)
    assert asking.why(SUBJECT, "alice") == (f"searched for (&{POSIX}(uid=alice))",)
    assert asking.why(SUBJECT, None)[0].startswith("searched for (&")
    assert mapper(Canned(), ssh_attribute="sshPublicKey").sees(SUBJECT) == (ssh_line().decode(),)
    assert mapper(Canned(), attribute_map=["cn=cn", "mail=email"]).sees(SUBJECT) == ("alice",)
    assert mapper(Canned(), uri="ldaps://x", tls="ldaps", tls_verify="never").problems() != ()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"urii": "x"}, r"unknown key 'urii' \(did you mean 'uri'\?\)"),
        ({"uri": 1}, "uri is 1, expected a string"),
        ({"base": 1}, "base is 1, expected a string"),
        ({"connect_timeout": "3"}, "connect_timeout is '3', expected a whole number"),
        ({"filter": ""}, "filter is '', expected one filter"),
        ({"filter": "uid=x"}, "filter is 'uid=x', expected one filter"),
        ({"filter": "(uid=x"}, "expected one filter"),
        ({"filter": "(uid=x))"}, "expected one filter"),
        ({"filter": "(a=b)(uid=x)"}, "expected one filter"),
        ({"filter": "(&(objectClass=posixAccount)(uid={account})"}, "expected one filter"),
        ({"filter": "(&())"}, "expected one filter"),
        ({"filter": "(a=\n)"}, "expected one filter"),
        ({"filter": "({account}=x)"}, "expected {account} only after an equals sign"),
        ({"filter": "(&{account}(uid=x))"}, "expected {account} only after an equals sign"),
        ({"filter": "(|(uid={account})({account}))"}, "expected {account} only after an equals sign"),
        ({"account_attribute": "u=d"}, "account_attribute is 'u=d', expected the name of an attribute"),
        ({"account_attribute": ""}, "account_attribute is ''"),
        ({"attribute": "userCertificate;binary"}, "attribute is 'userCertificate;binary'"),
        ({"ssh_attribute": "a)(b"}, "ssh_attribute is"),
        ({"ssh_attribute": "a", "attribute": "b"}, "attribute and ssh_attribute are different ways to map"),
        ({"ssh_attribute": "a", "attribute_map": ["a=cn"]}, "ssh_attribute and attribute_map are different ways"),
        ({"attribute_map": []}, "attribute_map is empty"),
        ({"attribute_map": "mail=email"}, "attribute_map is 'mail=email', expected a list"),
        ({"attribute_map": ["mail"]}, "attribute_map has 'mail', expected"),
        ({"attribute_map": ["mail=mail"]}, "attribute_map has 'mail=mail', expected"),
        ({"attribute_map": ["mail=email&"]}, "attribute_map has 'mail=email&', expected"),
        ({"attribute_map": ["mail)(x=email"]}, "attribute_map has"),
        ({"attribute_map": [1]}, "attribute_map has 1, expected"),
        ({"ignore_case": True}, "ignore_case is about the values of attribute_map"),
        ({"ignore_case": 1, "attribute_map": ["a=cn"]}, "ignore_case is 1, expected true or false"),
    ],
)
def test_wrong_table_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mapper(Canned(), **table)
