# SPDX-License-Identifier: LGPL-2.1-or-later
"""What check-config says of the certificates that CAs and responders are named by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pam_sc.cli.authorities import check_authorities
from pam_sc.config.finding import Weight
from pam_sc.config.model import (
    CaSettings,
    Configuration,
    LookupSettings,
    OcspResponder,
    RevocationSettings,
)
from pam_sc.record import replace
from tests.support.pki import CertificateAuthority
from tests.unit.cli.cards import CONFIGURATION

TRUSTED = frozenset({0, os.getuid()})
WHERE = "revocation.ca[0].certificate"


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


def configuration(file: Path, content: bytes, responder: OcspResponder | None = None) -> Configuration:
    file.write_bytes(content)
    file.chmod(0o644)
    lookup = LookupSettings(ocsp_responder=responder)
    partner = CaSettings(name="partner", certificate=str(file), lookup=lookup, where="")
    return replace(CONFIGURATION, revocation=RevocationSettings(authorities=(partner,)))


def found(checked: Configuration) -> list[tuple[Weight, str, str]]:
    return [(each.severity, each.where, each.text) for each in check_authorities(checked, TRUSTED)]


def test_a_ca_with_two_keys_is_no_finding(tmp_path: Path, authority: CertificateAuthority) -> None:
    renewed = CertificateAuthority(authority.name)
    assert found(configuration(tmp_path / "ca.pem", authority.pem + renewed.pem)) == []


def test_a_leaf_in_the_place_of_its_ca_is_an_error(tmp_path: Path, authority: CertificateAuthority) -> None:
    leaf = authority.issue().pem
    path = tmp_path / "ca.pem"
    text = f"'{path}' is not the certificate of a CA: 'CN=alice,O=Example'; name the CA that issues the cards"
    assert found(configuration(path, authority.pem + leaf)) == [(Weight.ERROR, WHERE, text)]


def test_a_file_without_a_certificate_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    text = f"'{path}' holds no certificates: neither PEM nor DER"
    assert found(configuration(path, b"hello")) == [(Weight.ERROR, WHERE, text)]


def test_a_certificate_that_cannot_be_parsed_is_an_error(tmp_path: Path) -> None:
    ((severity, where, text),) = found(configuration(tmp_path / "ca.pem", b"\x30\x03\x02\x01\x00"))
    assert (severity, where) == (Weight.ERROR, WHERE)
    assert "holds a certificate that cannot be parsed" in text


def test_a_file_that_others_can_write_is_an_error(tmp_path: Path, authority: CertificateAuthority) -> None:
    checked = configuration(tmp_path / "ca.pem", authority.pem)
    (tmp_path / "ca.pem").chmod(0o666)
    ((severity, where, text),) = found(checked)
    assert (severity, where) == (Weight.ERROR, WHERE)
    assert "cannot trust" in text


@pytest.mark.parametrize(("content", "count"), [("leaf", 0), ("nothing", 1)])
def test_the_certificate_of_a_responder_need_not_be_a_ca(
    tmp_path: Path, authority: CertificateAuthority, content: str, count: int
) -> None:
    file = tmp_path / "responder.pem"
    file.write_bytes(authority.issue().pem if content == "leaf" else b"nothing")
    file.chmod(0o644)
    responder = OcspResponder(url="http://ocsp.test/", certificate=str(file))
    wheres = [where for _s, where, _t in found(configuration(tmp_path / "ca.pem", authority.pem, responder))]
    assert wheres == ["revocation.ca[0].ocsp_responder.certificate"] * count


def test_the_certificate_of_the_whole_s_responder_is_looked_at_once(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    responder = OcspResponder(url="http://ocsp.test/", certificate=str(tmp_path / "none.pem"))
    checked = configuration(tmp_path / "ca.pem", authority.pem, responder)
    both = replace(checked, revocation=replace(checked.revocation, lookup=LookupSettings(ocsp_responder=responder)))
    assert [where for _s, where, _t in found(both)] == ["revocation.ocsp_responder.certificate"]
