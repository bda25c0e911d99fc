# SPDX-License-Identifier: LGPL-2.1-or-later
"""The network process as a login of root has it, in a world where account and CA certificates are the test's; and TLS."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import worker_in
from tests.support.network_process import Network, by_certificate, started
from tests.support.pam_world import World
from tests.support.pki import DAY, CertificateAuthority, now
from tests.support.server_tls import certificates_of, server_certificate, server_context
from tests.support.tcp_server import answers, ok, redirect, serving

BODY = bytes(range(256)) * 1024


@pytest.fixture
def as_root(world: World) -> Iterator[Network]:
    with started(world.namespace.enter([worker_in(), "network"])) as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority("Test TLS")


def test_root_becomes_the_account_pam_sc_for_good(as_root: Network, world: World) -> None:
    with serving(answers(ok(b"x"))) as server:
        assert as_root.body(server.url()) == b"x"
    status = Path(f"/proc/{as_root.process.pid}/status").read_text()
    account = world.account("pam_sc")
    assert f"Uid:\t{account.uid}\t{account.uid}\t{account.uid}\t{account.uid}\n" in status
    assert f"Gid:\t{account.gid}\t{account.gid}\t{account.gid}\t{account.gid}\n" in status
    assert "Groups:\t \n" in status or f"Groups:\t{account.gid} \n" in status
    assert "CapPrm:\t0000000000000000\n" in status


def test_https_server_proves_its_name(
    as_root: Network, world: World, authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificates_of(world, authority)
    tls = server_context(tmp_path, server_certificate(authority, "localhost"))
    with serving(answers(ok(BODY)), tls=tls) as server:
        assert as_root.body(server.url(scheme="https", host="localhost")) == BODY
        why = as_root.failure(server.url(scheme="https"))
        assert why == ("the certificate of its server is not accepted: "
                       "IP address mismatch, certificate is not valid for '127.0.0.1'")


def test_https_server_that_nobody_vouches_for_is_not_believed(
    as_root: Network, world: World, authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificates_of(world, CertificateAuthority("Test TLS"))  # of the same name, with another key
    tls = server_context(tmp_path, server_certificate(authority, "localhost"))
    with serving(answers(ok(b"x")), tls=tls) as server:
        why = as_root.failure(server.url(scheme="https", host="localhost"))
        assert why.startswith("the certificate of its server is not accepted: ")
        assert server.heads == []


def test_https_server_whose_certificate_has_expired_is_not_believed(
    as_root: Network, world: World, authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificates_of(world, authority)
    expired = server_certificate(authority, "localhost", not_before=now() - 3 * DAY, not_after=now() - DAY)
    with serving(answers(ok(b"x")), tls=server_context(tmp_path, expired)) as server:
        why = as_root.failure(server.url(scheme="https", host="localhost"))
        assert why == "the certificate of its server is not accepted: certificate has expired"


def test_https_through_a_proxy_still_has_to_prove_the_name(
    as_root: Network, world: World, authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificates_of(world, authority)
    tls = server_context(tmp_path, server_certificate(authority, "pki.example.test"))

    def connect_through(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with tls.wrap_socket(connection, server_side=True) as inner:
            inner.recv(4096)
            inner.sendall(ok(b"secured"))

    with serving(connect_through) as proxy:
        assert as_root.body(by_certificate("https://pki.example.test/"), proxy=proxy.url("")) == b"secured"
        why = as_root.failure(by_certificate("https://other.example.test/"), proxy=proxy.url(""))
        assert why == ("the certificate of its server is not accepted: "
                       "Hostname mismatch, certificate is not valid for 'other.example.test'")


def test_https_never_redirects_down_to_http(
    as_root: Network, world: World, authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificates_of(world, authority)
    tls = server_context(tmp_path, server_certificate(authority, "localhost"))
    with serving(answers(ok(b"x"))) as plain, serving(answers(redirect(plain.url(host="localhost"))), tls=tls) as server:
        assert as_root.failure(server.url(scheme="https", host="localhost")) == "the server redirects from https to http"
        assert plain.heads == []


def test_https_body_that_is_cut_off_is_a_failure_though_nothing_said_how_long_it_is(
    as_root: Network, world: World, authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificates_of(world, authority)
    tls = server_context(tmp_path, server_certificate(authority, "localhost"))

    def cut_off(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        socket.socket.shutdown(connection, socket.SHUT_RDWR)

    with serving(cut_off, tls=tls) as server:
        assert as_root.failure(server.url(scheme="https", host="localhost")) == "its server closed the connection early"


def test_server_that_speaks_no_tls_is_a_failure(as_root: Network) -> None:
    with serving(answers(b"HTTP/1.1 200 OK\r\n\r\n"), reads_head=False) as server:
        assert as_root.failure(server.url(scheme="https")).startswith("TLS with its server failed: ")
