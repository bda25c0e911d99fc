# SPDX-License-Identifier: LGPL-2.1-or-later
"""Searches in a directory: the network process in its sandbox, OpenLDAP, and servers that only pretend to be one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pam_sc.decision.identity import read_subject
from pam_sc.decision.reasons import Reason
from pam_sc.directory_match import HoldsCertificate
from tests.support.fake_directory import BIND_OK, DONE, EXTENDED_OK, entry, replies
from tests.support.network_process import Network
from tests.support.people_directory import ALICE, ASKER, PASSWORD, ldaps, people_directory, plain, search
from tests.support.pki import DAY, CertificateAuthority, Issued, now
from tests.support.server_tls import server_certificate, server_context
from tests.support.slapd import PEOPLE, SUFFIX, Directory, directory, people, person
from tests.support.tcp_server import answers, serving

UNREACHABLE, TIMEOUT = Reason.DIRECTORY_UNREACHABLE, Reason.DIRECTORY_TIMEOUT
TLS_FAILED, BIND_REFUSED = Reason.DIRECTORY_TLS_FAILED, Reason.DIRECTORY_BIND_REFUSED
SEVERAL, UNUSABLE, REFERRAL = (
    Reason.DIRECTORY_SEVERAL_ENTRIES, Reason.DIRECTORY_ANSWER_UNUSABLE, Reason.DIRECTORY_REFERRAL)


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
    with people_directory(tmp_path_factory.mktemp("slapd"), authority, leaf) as running:
        yield running


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
