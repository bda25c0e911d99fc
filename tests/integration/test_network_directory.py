# SPDX-License-Identifier: LGPL-2.1-or-later
"""Searches in a directory: the network process in its sandbox, OpenLDAP, and servers that only pretend to be one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pam_sc.decision.identity import read_subject
from pam_sc.decision.reasons import Reason
from pam_sc.directory_match import HoldsCertificate
from pam_sc.services import DirectorySearch, DirectoryServers
from tests.support.der import tlv
from tests.support.fake_directory import BIND_OK, DONE, EXTENDED_OK, entry, message, replies, result
from tests.support.network_process import Network
from tests.support.pki import DAY, CertificateAuthority, Issued, now
from tests.support.server_tls import server_certificate, server_context
from tests.support.slapd import PEOPLE, SUFFIX, Directory, directory, people, person, referral
from tests.support.tcp_server import answers, serving

UNREACHABLE, TIMEOUT = Reason.DIRECTORY_UNREACHABLE, Reason.DIRECTORY_TIMEOUT
TLS_FAILED, BIND_REFUSED = Reason.DIRECTORY_TLS_FAILED, Reason.DIRECTORY_BIND_REFUSED
SEVERAL, UNUSABLE, REFERRAL = (
    Reason.DIRECTORY_SEVERAL_ENTRIES, Reason.DIRECTORY_ANSWER_UNUSABLE, Reason.DIRECTORY_REFERRAL)
ASKER = f"cn=asker,{PEOPLE}"
PASSWORD = b"correct horse"
SHORT = 0.4
ALICE = f"cn=alice,{PEOPLE}"


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture(scope="module")
def leaf(authority: CertificateAuthority) -> Issued:
    return authority.issue()


@pytest.fixture(scope="module")
def slapd(
    tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority, leaf: Issued
) -> Iterator[Directory]:
    """A directory that shows its entries to `asker` alone, and to others that they exist."""
    entries = people(
        person("alice", certificates=[authority.issue().der, leaf.der], mails=["alice@example.test"]),
        person("twice", name="one"), person("twice", name="two"), person("bob"),
        person("asker", password=PASSWORD.decode()),
        person("heavy", certificates=[authority.issue(common_name=["x" * 60] * 40).der for _ in range(40)]),
    )
    database = f"""limits anonymous size.soft=3 size.hard=3
access to attrs=userPassword by anonymous auth
access to attrs=mail by dn.exact="{ASKER}" read by * none
access to * by * read"""
    with directory(tmp_path_factory.mktemp("slapd"), entries, tls=server_certificate(authority, "localhost"),
                   client_ca=authority.pem, options=f'authz-regexp "cn=asker.*" "{ASKER}"', database=database) as running:
        yield running


def search(*urls: str, wanted: str = "(uid=alice)", base: str = PEOPLE, attributes: tuple[str, ...] = ("uid", "mail"),
           entries_max: int = 1, **servers: Any) -> DirectorySearch:
    return DirectorySearch(servers=DirectoryServers(urls=urls, **servers), base=base, filter=wanted, attributes=attributes,
                           entries_max=entries_max)


def ldaps(slapd: Directory, host: str = "localhost") -> str:
    return slapd.url("", scheme="ldaps", host=host)


def plain(slapd: Directory, host: str = "localhost") -> str:
    return slapd.url("", host=host)


@pytest.fixture
def dead() -> str:
    """The URL of a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"ldap://127.0.0.1:{probe.getsockname()[1]}"


# ---------------------------------------------------------------- what is found


def test_entry_is_found_with_what_was_asked_for(network: Network, slapd: Directory, leaf: Issued) -> None:
    (found,) = network.search(search(plain(slapd), attributes=("uid", "userCertificate", "userCertificate;binary")))
    assert (found.name, set(found.attributes)) == (ALICE, {"uid", "usercertificate"})
    assert found.attributes["uid"] == (b"alice",)
    assert leaf.der in found.attributes["usercertificate"] and len(found.attributes["usercertificate"]) == 2


@pytest.mark.parametrize("wanted", [
    "(uid=nobody)", r"(uid=\2a)", r"(uid=alice\29\28uid=\2a)", "(&(uid=alice)(uid=bob))", "(userCertificate=\\30\\82)",
])
def test_nothing_is_found_where_nothing_fits(network: Network, slapd: Directory, wanted: str) -> None:
    assert network.search(search(plain(slapd), wanted=wanted)) == ()


def test_certificate_is_found_by_its_issuer_and_serial_number(
    network: Network, slapd: Directory, authority: CertificateAuthority, leaf: Issued
) -> None:
    rule = HoldsCertificate("userCertificate")
    (found,) = network.search(search(plain(slapd), wanted=str(rule.filter(read_subject(leaf.der)))))
    assert found.name == ALICE
    assert network.search(search(plain(slapd), wanted=str(rule.filter(read_subject(authority.issue().der))))) == ()


@pytest.mark.parametrize("common_name", ['quoted "CA", and more', "a+b=c;d<e>f\\g#", " spaced ", "#hash", "{ }()*"])
def test_certificate_of_any_issuer_is_found(network: Network, tmp_path: Path, common_name: str) -> None:
    leaf = CertificateAuthority(common_name).issue()
    wanted = str(HoldsCertificate("userCertificate").filter(read_subject(leaf.der)))
    with directory(tmp_path / "slapd", people(person("alice", certificates=[leaf.der]))) as running:
        (found,) = network.search(search(plain(running), wanted=wanted))
        assert found.name == ALICE


def test_two_entries_are_no_answer_to_a_question_for_one(network: Network, slapd: Directory) -> None:
    wanted = search(plain(slapd), wanted="(uid=twice)")
    reason, why = network.refusal(wanted)
    assert (reason, why) == (SEVERAL, f"localhost:{slapd.port}: more than 1 entries fit")
    assert len(network.search(search(plain(slapd), wanted="(uid=twice)", entries_max=2))) == 2


def test_more_entries_than_the_directory_gives_out_are_several(network: Network, slapd: Directory) -> None:
    reason, why = network.refusal(search(plain(slapd), wanted="(uid=*)", entries_max=5))
    assert (reason, why) == (SEVERAL, f"localhost:{slapd.port}: more entries fit than it gives out")


def test_entry_of_any_size_is_refused_beyond_the_bound(network: Network, slapd: Directory) -> None:
    assert network.search(search(plain(slapd), wanted="(uid=heavy)"))
    attributes = ("userCertificate", "userCertificate;binary")
    reason, why = network.refusal(search(plain(slapd), wanted="(uid=heavy)", attributes=attributes))
    assert reason is UNUSABLE and "larger than" in why


@pytest.mark.parametrize(
    ("changes", "reason", "why"),
    [
        ({"base": f"ou=elsewhere,{SUFFIX}"}, UNUSABLE, "it does not answer the search: noSuchObject"),
        ({"base": "no name at all"}, UNUSABLE, "it does not answer the search: invalidDNSyntax"),
        ({"base": "dc=other"}, UNUSABLE, "it does not answer the search: noSuchObject"),
        ({"wanted": "(uid=alice"}, UNUSABLE, "the filter is malformed"),
        ({"wanted": "uid"}, UNUSABLE, "the filter is malformed"),
    ],
)
def test_search_that_cannot_be_answered_is_not_an_empty_answer(
    network: Network, slapd: Directory, changes: dict[str, str], reason: Reason, why: str
) -> None:
    assert network.refusal(search(plain(slapd), **changes)) == (reason, f"localhost:{slapd.port}: {why}")  # type: ignore[arg-type]


# ---------------------------------------------------------------- who the servers are


@pytest.mark.parametrize("how", ["ldaps", "starttls"])
def test_server_that_proves_its_name_is_asked(
    network: Network, slapd: Directory, authority: CertificateAuthority, how: str
) -> None:
    url = ldaps(slapd) if how == "ldaps" else plain(slapd)
    assert network.search(search(url, start_tls=how == "starttls", ca_pem=authority.pem))


@pytest.mark.parametrize("how", ["ldaps", "starttls"])
@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("other CA", "unable to get local issuer certificate"),
        ("same name, other key", "unable to get local issuer certificate"),
        ("no CA", "unable to get local issuer certificate"),
        ("expired", "certificate has expired"),
        ("other name", "Hostname mismatch, certificate is not valid for 'localhost'"),
        ("only a common name", "Hostname mismatch, certificate is not valid for 'localhost'"),
        ("other address", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
def test_server_that_does_not_prove_its_name_is_not_asked(
    network: Network, authority: CertificateAuthority, tmp_path: Path, how: str, trouble: str, why: str
) -> None:
    wishes: dict[str, Any] = {"not_after": now() - DAY} if trouble == "expired" else {}
    names = {"other name": ["ldap.example.test"], "only a common name": []}.get(trouble, ["localhost"])
    if trouble == "only a common name":
        issued = authority.issue(common_name="localhost", extended_key_usage=["1.3.6.1.5.5.7.3.1"])
    else:
        issued = server_certificate(authority, *names, **wishes)
    ca = {"other CA": CertificateAuthority("Other CA").pem, "no CA": None,
          "same name, other key": CertificateAuthority().pem}.get(trouble, authority.pem)
    with directory(tmp_path / "slapd", people(person("alice")), tls=issued) as running:
        host = "127.0.0.1" if trouble == "other address" else "localhost"
        url = ldaps(running, host) if how == "ldaps" else plain(running, host)
        reason, said = network.refusal(search(url, start_tls=how == "starttls", ca_pem=ca))
        assert (reason, said.rpartition("not accepted: ")[2]) == (TLS_FAILED, why)
        assert network.search(search(url, start_tls=how == "starttls", ca_pem=ca, verify=False))


def test_server_that_refuses_starttls_is_not_asked_in_the_clear(
    network: Network, tmp_path: Path, authority: CertificateAuthority
) -> None:
    with directory(tmp_path / "slapd", people(person("alice"))) as running:
        reason, why = network.refusal(search(plain(running), start_tls=True, ca_pem=authority.pem))
    assert (reason, why) == (TLS_FAILED, f"localhost:{running.port}: it refuses StartTLS: protocolError")


def test_server_without_tls_on_the_port_of_ldaps_is_a_failure_of_tls(
    network: Network, slapd: Directory, authority: CertificateAuthority
) -> None:
    reason, _why = network.refusal(search(f"ldaps://localhost:{slapd.port}", ca_pem=authority.pem))
    assert reason is TLS_FAILED


def test_what_was_sent_before_tls_does_not_count_after_it(
    network: Network, authority: CertificateAuthority, tmp_path: Path
) -> None:
    """Answers that somebody in between puts behind the one to StartTLS (as in CVE-2011-0411)."""
    context = server_context(tmp_path, server_certificate(authority, "localhost"))

    def handler(connection: socket.socket, _head: bytes) -> None:
        replies((EXTENDED_OK, BIND_OK, entry(ALICE, uid=b"alice"), DONE))(connection, b"")
        context.wrap_socket(connection, server_side=True)

    with serving(handler, reads_head=False) as server:
        url = f"ldap://localhost:{server.port}"
        reason, _why = network.refusal(search(url, start_tls=True, ca_pem=authority.pem), seconds=5)
    assert reason is TLS_FAILED


# ---------------------------------------------------------------- as whom they are asked


def test_password_opens_what_only_its_owner_sees(
    network: Network, slapd: Directory, authority: CertificateAuthority
) -> None:
    wanted = search(ldaps(slapd), ca_pem=authority.pem, bind_dn=ASKER, password=PASSWORD)
    assert network.search(wanted)[0].attributes["mail"] == (b"alice@example.test",)
    assert "mail" not in network.search(search(ldaps(slapd), ca_pem=authority.pem))[0].attributes


@pytest.mark.parametrize("client", ["asker", "somebody"])
def test_client_certificate_opens_what_only_its_owner_sees(
    network: Network, slapd: Directory, authority: CertificateAuthority, client: str
) -> None:
    shown = authority.issue(common_name=client)
    wanted = search(plain(slapd), start_tls=True, ca_pem=authority.pem, external=True, client_pem=shown.pem + shown.key_pem)
    assert ("mail" in network.search(wanted)[0].attributes) is (client == "asker")


@pytest.mark.parametrize(
    ("password", "name"), [(b"wrong", ASKER), (PASSWORD, ALICE), (PASSWORD, f"cn=nobody,{PEOPLE}")]
)
def test_wrong_credentials_are_refused_and_no_other_server_is_bothered(
    network: Network, slapd: Directory, password: bytes, name: str
) -> None:
    with serving(answers(b""), reads_head=False) as second:
        urls = (plain(slapd), f"ldap://127.0.0.1:{second.port}")
        reason, why = network.refusal(search(*urls, bind_dn=name, password=password))
        assert (reason, why) == (BIND_REFUSED, f"localhost:{slapd.port}: it refuses the bind: invalidCredentials")


def test_external_without_a_certificate_is_refused(network: Network, slapd: Directory, authority: CertificateAuthority) -> None:
    reason, why = network.refusal(search(ldaps(slapd), ca_pem=authority.pem, external=True))
    assert reason is BIND_REFUSED, why


@pytest.mark.parametrize("client", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_client_certificate_that_cannot_be_used_is_refused(
    network: Network, slapd: Directory, authority: CertificateAuthority, client: bytes
) -> None:
    reason, why = network.refusal(search(ldaps(slapd), ca_pem=authority.pem, external=True, client_pem=client))
    assert reason is TLS_FAILED and why.startswith("the CA or the client certificate cannot be used")


# ---------------------------------------------------------------- servers that fail


def test_dead_server_is_unreachable(network: Network, dead: str) -> None:
    reason, why = network.refusal(search(dead))
    assert (reason, why) == (UNREACHABLE, f"{dead[7:]}: its server refuses connections")


def test_name_without_an_address_is_unreachable(network: Network) -> None:
    reason, why = network.refusal(search("ldap://nowhere.invalid"))
    assert (reason, why) == (UNREACHABLE, "nowhere.invalid: the name of its server cannot be resolved")


@pytest.mark.parametrize("after", [(), (BIND_OK,), (BIND_OK, entry(ALICE, uid=b"alice"))])
def test_server_that_says_nothing_more_is_given_up_in_time(network: Network, after: tuple[bytes, ...]) -> None:
    with serving(replies(*after), reads_head=False) as server:
        started = time.monotonic()
        reason, why = network.refusal(search(f"ldap://127.0.0.1:{server.port}", connect_s=SHORT, search_s=SHORT))
        assert (reason, why) == (TIMEOUT, f"127.0.0.1:{server.port}: it does not answer in time")
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_server_that_never_speaks_tls_is_given_up_in_time(
    network: Network, authority: CertificateAuthority, scheme: str
) -> None:
    with serving(replies(EXTENDED_OK) if scheme == "ldap" else replies(), reads_head=False) as server:
        wanted = search(f"{scheme}://127.0.0.1:{server.port}", start_tls=scheme == "ldap", ca_pem=authority.pem, connect_s=SHORT)
        assert network.refusal(wanted)[0] is TIMEOUT


def test_server_that_sends_a_byte_now_and_then_is_given_up_in_time(network: Network) -> None:
    def drip(connection: socket.socket, _head: bytes) -> None:
        for octet in b"\x30\x84\x00\x00\x10\x00" + bytes(4096):
            connection.sendall(bytes([octet]))
            if server.closing.wait(0.05):
                return

    with serving(drip, reads_head=False) as server:
        started = time.monotonic()
        assert network.refusal(search(f"ldap://127.0.0.1:{server.port}", connect_s=SHORT))[0] is TIMEOUT
        assert time.monotonic() - started < 5


def test_end_of_the_time_is_said_in_time_whatever_the_limits_are(network: Network) -> None:
    with serving(replies(), reads_head=False) as server:
        urls = [f"ldap://127.0.0.1:{server.port}"] * 3
        started = time.monotonic()
        reason, why = network.refusal(search(*urls, connect_s=60, search_s=60), seconds=1.5)
        assert reason is TIMEOUT and why.count("it does not answer in time") == 3
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("code", [1, 51, 52, 53, 80])
@pytest.mark.parametrize("asked", ["bind", "search"])
def test_server_in_trouble_is_passed_over(network: Network, slapd: Directory, code: int, asked: str) -> None:
    said = (result(0x61, code),) if asked == "bind" else (BIND_OK, result(0x65, code))
    with serving(replies(*said), reads_head=False) as server:
        troubled = f"ldap://127.0.0.1:{server.port}"
        assert network.search(search(troubled, plain(slapd)))
        expected = BIND_REFUSED if asked == "bind" else UNREACHABLE
        assert network.refusal(search(troubled))[0] is expected


def test_first_server_that_works_answers(
    network: Network, slapd: Directory, dead: str, authority: CertificateAuthority, tmp_path: Path
) -> None:
    other = server_context(tmp_path, server_certificate(authority, "ldap.example.test"))
    with (serving(replies(), reads_head=False) as hanging,
          serving(replies(), reads_head=False, tls=other) as misnamed):
        urls = (dead.replace("ldap:", "ldaps:"), f"ldaps://localhost:{hanging.port}", f"ldaps://localhost:{misnamed.port}")
        asked = {"ca_pem": authority.pem, "connect_s": SHORT}
        assert network.search(search(*urls, ldaps(slapd), **asked))
        reason, why = network.refusal(search(*urls, **asked))
    assert reason is TLS_FAILED, "the reason of the one that came furthest"
    assert [each.partition(": ")[2].split(":")[0] for each in why.split("; ")] == [
        "its server refuses connections", "it does not answer in time", "the certificate of its server is not accepted"]


# ---------------------------------------------------------------- referrals


@pytest.fixture(scope="module")
def referring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    entries = people(person("alice"), referral("elsewhere", f"ldap://127.0.0.1:9/{PEOPLE}"))
    with directory(tmp_path_factory.mktemp("referring"), entries) as running:
        yield running


def test_reference_beside_an_entry_is_refused_unless_it_may_be_passed_over(network: Network, referring: Directory) -> None:
    url = plain(referring)
    assert network.refusal(search(url)) == (REFERRAL, f"localhost:{referring.port}: it sends the search to another server")
    assert network.search(search(url, ignore_references=True))
    assert network.search(search(url, ignore_references=True, wanted="(uid=bob)")) == ()


def test_referral_in_place_of_an_answer_is_refused_always(network: Network, referring: Directory) -> None:
    wanted = search(plain(referring), base=f"cn=elsewhere,{PEOPLE}", ignore_references=True)
    assert network.refusal(wanted)[0] is REFERRAL


def test_referral_of_a_bind_is_refused_and_nobody_sees_the_password(network: Network) -> None:
    with serving(replies(result(0x61, 10)), reads_head=False) as server:
        wanted = search(f"ldap://127.0.0.1:{server.port}", bind_dn=ASKER, password=PASSWORD)
        assert network.refusal(wanted)[0] is REFERRAL


# ---------------------------------------------------------------- servers that are no directory


ENTRY = entry(ALICE, uid=b"alice")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", UNREACHABLE),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", UNUSABLE),
        (b"\x30\x80\x02\x01\x01\x00\x00", UNUSABLE),
        (b"\x30\x84\xff\xff\xff\xff", UNUSABLE),
        (b"\x30\x00", UNREACHABLE),
        (b"\x30\x03\x02\x01\x01", UNUSABLE),
        (b"\x30\x02\x01\x01", UNUSABLE),
        (b"\x30\x06\x02\x01\x01\x78\x01\x00", UNUSABLE),
    ],
)
def test_server_that_is_no_directory_is_a_failure(network: Network, slapd: Directory, said: bytes, reason: Reason) -> None:
    with serving(answers(said), reads_head=False) as server:
        url = f"ldap://127.0.0.1:{server.port}"
        assert network.refusal(search(url))[0] is reason
        assert network.search(search(url, plain(slapd))), "the next one is asked"


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        ((DONE,), None),
        ((ENTRY, DONE), None),
        ((ENTRY, ENTRY, DONE), SEVERAL),
        ((ENTRY, result(0x65, 4)), SEVERAL),
        ((ENTRY, result(0x65, 3)), TIMEOUT),
        ((ENTRY, result(0x65, 11)), UNUSABLE),
        ((ENTRY, result(0x65, 50)), UNUSABLE),
        ((ENTRY, tlv(0x73, tlv(4, b"ldap://127.0.0.1/")), DONE), REFERRAL),
        ((ENTRY,) * 1000, SEVERAL),
        ((tlv(0x64, tlv(4, b"cn=x")), DONE), UNUSABLE),
        ((tlv(0x64, tlv(4, b"cn=x") + tlv(0x30, tlv(0x30, tlv(4, b"uid")))), DONE), UNUSABLE),
        ((tlv(0x64, tlv(4, b"cn=x") + tlv(0x30, tlv(4, b"uid"))), DONE), UNUSABLE),
        ((tlv(0x64, b"\x04\x7f"), DONE), UNUSABLE),
        ((b"\x64\x03\x30\x80\x00", DONE), UNUSABLE),
        ((entry("x", uid=b"a" * 100_000), DONE), UNUSABLE),
        ((entry("x", uid=b"a" * 1_000_000), DONE), UNUSABLE),
        ((entry("x", uïd=b"a"), DONE), UNUSABLE),
        ((BIND_OK,), UNUSABLE),
        ((EXTENDED_OK,), UNUSABLE),
        ((lambda _request: tlv(0x30, b"\2\1\x63" + DONE),), UNUSABLE),
        ((lambda _request: tlv(0x30, b"\2\1\0" + EXTENDED_OK),), UNUSABLE),
        ((lambda request: message(request, DONE)[:-1],), TIMEOUT),
    ],
)
def test_odd_answer_is_refused_for_what_it_is(network: Network, operations: tuple[Any, ...], reason: Reason | None) -> None:
    with serving(replies(BIND_OK, operations), reads_head=False) as server:
        wanted = search(f"ldap://127.0.0.1:{server.port}", search_s=1)
        if reason is None:
            assert len(network.search(wanted)) == operations.count(ENTRY)
        else:
            assert network.refusal(wanted)[0] is reason


def test_endless_entries_are_cut_off(network: Network) -> None:
    def flood(connection: socket.socket, _head: bytes) -> None:
        replies_to = replies(BIND_OK, lambda request: message(request, ENTRY) * 100_000)
        replies_to(connection, b"")

    with serving(flood, reads_head=False) as server:
        assert network.refusal(search(f"ldap://127.0.0.1:{server.port}"))[0] is SEVERAL


def test_process_serves_on_after_each_failure(network: Network, slapd: Directory, dead: str) -> None:
    for _ in range(3):
        network.refusal(search(dead))
        assert network.search(search(plain(slapd)))
        assert network.refusal(search(plain(slapd), wanted="(" * 20_000))[0] is UNUSABLE
        assert "refuses connections" in network.failure(f"{dead}/cn=crl")
