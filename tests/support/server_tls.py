# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates for servers of a test, and a world whose machine believes only whom the test says."""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path

import OpenSSL
from cryptography import x509

from tests.support.pam_world import World
from tests.support.pki import SERVER_AUTH, CertificateAuthority, Issued

CA_FOLDER = ssl.get_default_verify_paths().openssl_capath


def certificates_of(world: World, *authorities: CertificateAuthority) -> None:
    """Make these the machine's CA certificates."""
    for one in authorities:
        name = f"{OpenSSL.crypto.X509.from_cryptography(one.certificate).subject_name_hash():08x}.0"
        world.put(f"{os.path.realpath(CA_FOLDER)}/{name}", one.pem)


def server_context(folder: Path, issued: Issued) -> ssl.SSLContext:
    (folder / "server.pem").write_bytes(issued.pem + issued.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return context


def server_certificate(authority: CertificateAuthority, *names: str, **wishes: object) -> Issued:
    san = [x509.DNSName(name) if name[0].isalpha() else x509.IPAddress(ipaddress.ip_address(name)) for name in names]
    return authority.issue(common_name="server", san=san, extended_key_usage=[SERVER_AUTH], **wishes)
