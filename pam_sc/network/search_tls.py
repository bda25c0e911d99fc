# SPDX-License-Identifier: LGPL-2.1-or-later
"""TLS towards a directory: certified by the configured CA alone, with the name that the configuration gives it.

RFC 4513, section 3.1.3, by the rules of RFC 6125: names and addresses of subjectAltName count, a common name does not.
The client's key comes over the channel, because this process reads no secret files, and is never on a disk.
"""

from __future__ import annotations

import os
import ssl

from pam_sc.services import DirectoryServers


def directory_context(servers: DirectoryServers) -> ssl.SSLContext | None:
    """Return what secures the connections, None where none is to be secured; ssl.SSLError if that cannot be made."""
    if not servers.start_tls and all(url.startswith("ldap:") for url in servers.urls):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # which Python sets with OpenSSL 3
    if not servers.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif servers.ca_pem is not None:
        context.load_verify_locations(cadata=servers.ca_pem.decode("ascii"))
    if servers.client_pem is not None:
        _load_client(context, servers.client_pem)
    return context


def _load_client(context: ssl.SSLContext, pem: bytes) -> None:
    """Hand certificate and key to OpenSSL, which takes them from a file: here from one that is memory."""
    descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")  # nobody is here to type one
