# SPDX-License-Identifier: LGPL-2.1-or-later
"""CRLs from a directory, by ldap and ldaps URLs (RFC 4516, RFC 4523): an anonymous bind and one search of one object.

Referrals are not followed. What is not checked: what the value means.
"""

from __future__ import annotations

import socket
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException

from pam_sc.errors import TransferError
from pam_sc.network.connect import connect, secured
from pam_sc.network.job import Job
from pam_sc.network.ldap_connection import LdapSocket, ldap_connection, outcome
from pam_sc.network.ldap_urls import BINARY, LdapQuery, parse_ldap_query
from pam_sc.network.urls import parse_url

BESIDE_VALUE = 64 * 1024
"""How much larger than the value everything may be that the server sends."""
BYTES_MAX = 64 << 20
"""Of one answer, whatever `max_bytes` allows: LDAP has it in one piece, and ldap3 in several copies."""
_SUCCESS = 0


def fetch(job: Job) -> None:
    """Carry out one transfer: `begin`, `add` and `done` of the job, or an exception. No proxy is used."""
    wanted = job.order.transfer
    url = parse_url(wanted.url)
    query = parse_ldap_query(url.rest)
    if wanted.body is not None:
        raise TransferError("nothing can be posted to a directory")
    sock = connect(url.host, url.port, job, anywhere=job.order.loopback or wanted.configured)
    value = _search(_messages(secured(sock, url.host, job) if url.secure else sock, job), query, url.host)
    job.begin()
    job.add(value)
    job.done()


def _messages(sock: socket.socket, job: Job) -> LdapSocket:
    most = min(job.order.transfer.max_bytes, BYTES_MAX)
    return LdapSocket(sock, job, most, beside=BESIDE_VALUE)


def _search(messages: LdapSocket, query: LdapQuery, host: str) -> bytes:
    connection = ldap_connection(messages, host, authentication=ldap3.ANONYMOUS)
    try:
        if not connection.bind():
            raise TransferError(f"the directory refuses an anonymous bind: {outcome(connection)}")
        connection.search(query.name, query.search_filter, ldap3.BASE, attributes=[query.attribute + BINARY])
        if connection.result["result"] != _SUCCESS:
            raise TransferError(f"the directory does not answer the search: {outcome(connection)}")
        return _value(connection.response, query.attribute)
    except LDAPException as error:
        if messages.error is not None:
            raise messages.error from error
        raise TransferError(f"the directory cannot be asked: {type(error).__name__}") from error


def _value(response: list[dict[str, Any]], attribute: str) -> bytes:
    entries = [one for one in response if one.get("type") == "searchResEntry"]
    values = [
        value for entry in entries for name, found in entry.get("raw_attributes", {}).items()
        if name.lower().removesuffix(BINARY) == attribute for value in found
    ]
    if len(values) != 1:
        raise TransferError(f"the directory has {len(values)} values of the attribute, expected one")
    return bytes(values[0])
