# SPDX-License-Identifier: LGPL-2.1-or-later
"""One search in a directory (RFC 4511): its servers in their order, each within its share of the time, until one answers.

Who certifies the servers, and with what they are asked, comes with the order; the machine's CAs are not used and no
certificate is taken without its name (RFC 4513, section 3.1.3). A referral is never followed. What a server says is
counted here, whatever limits it was given, and none of its words go on.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPInvalidFilterError, LDAPSessionTerminatedByServerError

from pam_sc.decision.reasons import Reason
from pam_sc.errors import ProtocolError, TransferError
from pam_sc.network.connect import Address, UnresolvedError, first_that_answers, look_up, secured
from pam_sc.network.job import TIME_OVER, SearchJob
from pam_sc.network.ldap_connection import LdapSocket, TooManyMessages, ldap_connection, outcome
from pam_sc.network.problems import sentence
from pam_sc.network.search_messages import ENTRY_MAX, VALUES_MAX
from pam_sc.network.search_tls import directory_context
from pam_sc.network.urls import Url, parse_url
from pam_sc.services import DirectoryEntry, DirectorySearch, DirectoryServers

START_TLS = "1.3.6.1.4.1.1466.20037"
BINARY = ";binary"
_BESIDE = 64 * 1024
"""Bytes of everything that is no entry."""
_MESSAGES_BESIDE = 24
"""Messages that are no entry: results, references."""
_LAST_WORD_S = 0.1
"""Kept of the time, so that what went wrong can be said."""
_SUCCESS, _REFERRAL, _SIZE_LIMIT, _TIME_LIMIT = 0, 10, 4, 3
_TROUBLE = {1, 51, 52, 53, 80}
"""operationsError, busy, unavailable, unwillingToPerform, other: of this server, so the next one is asked."""
_TELLING = (
    Reason.DIRECTORY_BIND_REFUSED, Reason.DIRECTORY_TLS_FAILED, Reason.DIRECTORY_ANSWER_UNUSABLE,
    Reason.DIRECTORY_TIMEOUT, Reason.DIRECTORY_UNREACHABLE,
)  # fmt: skip
"""Which reason is given where servers failed for several: of the one that came furthest."""


class _Failed(Exception):
    """A server did not answer the question. `final`: no other one would."""

    def __init__(self, reason: Reason, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.reason = reason
        self.final = final


class _Attempt:
    """One server's part of the time."""

    def __init__(self, job: SearchJob, end: float, seconds: float) -> None:
        self._job = job
        self._end = end
        self._sockets: list[socket.socket] = []
        self.limit(seconds)

    def limit(self, seconds: float) -> None:
        """What comes now takes at most this long."""
        self._until = min(self._end, time.monotonic() + seconds)

    def remaining(self) -> float:
        self._job.remaining()
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def use(self, sock: socket.socket) -> None:
        self._sockets.append(sock)
        self._job.use(sock)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


def answer(job: SearchJob) -> None:
    """Ask the servers one after the other; say what was found, or why nobody could answer."""
    servers = job.search.servers
    failures: list[tuple[str, _Failed]] = []
    try:
        context = directory_context(servers)
        for left in range(len(servers.urls), 0, -1):
            url = parse_url(servers.urls[-left])
            try:
                job.found(_asked(url, job, context, left))
                return
            except _Failed as failed:
                failures.append((url.authority, failed))
                if failed.final:
                    break
    except (ssl.SSLError, OSError) as error:
        job.refuse(Reason.DIRECTORY_TLS_FAILED, f"the CA or the client certificate cannot be used: {sentence(error)}")
        return
    job.refuse(_reason([each for _, each in failures]), "; ".join(f"{host}: {each}" for host, each in failures))


def _reason(failures: list[_Failed]) -> Reason:
    if failures[-1].final:
        return failures[-1].reason
    reasons = {each.reason for each in failures}
    return next(reason for reason in _TELLING if reason in reasons)


def _asked(url: Url, job: SearchJob, context: ssl.SSLContext | None, servers_left: int) -> tuple[DirectoryEntry, ...]:
    """Ask one server, within its share of the time."""
    servers = job.search.servers
    now = time.monotonic()
    end = now + max(0.0, job.deadline - _LAST_WORD_S - now) / servers_left
    attempt = _Attempt(job, end, servers.connect_s)
    try:
        with _failing_as(Reason.DIRECTORY_UNREACHABLE):
            sock = first_that_answers(_looked_up(url, attempt), attempt)
        messages = _messages(sock, attempt, job.search)
        if servers.start_tls and not url.secure:
            _start_tls(messages, url.host)
        if context is not None and (url.secure or servers.start_tls):
            with _failing_as(Reason.DIRECTORY_TLS_FAILED):
                messages.over(secured(sock, url.host, attempt, context), attempt)
        connection = _bound(messages, url.host, servers)
        attempt.limit(servers.search_s)
        return _found(connection, messages, job.search, attempt.remaining())
    finally:
        attempt.close()


def _looked_up(url: Url, attempt: _Attempt) -> list[Address]:
    """Look a host up without waiting for longer than there is time."""
    found: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def look() -> None:
        try:
            found.put(look_up(url.host, url.port))
        except Exception as error:  # noqa: BLE001 - raised where somebody waits for it
            found.put(error)

    threading.Thread(target=look, daemon=True).start()
    try:
        answer = found.get(timeout=attempt.remaining())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _messages(sock: socket.socket, attempt: _Attempt, search: DirectorySearch) -> LdapSocket:
    return LdapSocket(
        sock, attempt, search.entries_max * ENTRY_MAX + _BESIDE, messages=search.entries_max + 1 + _MESSAGES_BESIDE
    )


@contextlib.contextmanager
def _failing_as(reason: Reason, messages: LdapSocket | None = None) -> Iterator[None]:
    """Turn whatever is raised into a failure: for its own reason where it has one, else for this."""
    try:
        yield
    except _Failed:
        raise
    except LDAPInvalidFilterError:
        raise _Failed(Reason.DIRECTORY_ANSWER_UNUSABLE, "the filter is malformed", final=True) from None
    except Exception as error:  # noqa: BLE001 - ldap3 lets many kinds through where an answer is malformed
        raise _failure(reason, error if messages is None or messages.error is None else messages.error) from error


def _failure(reason: Reason, error: Exception) -> _Failed:
    why = sentence(error)
    if isinstance(error, TimeoutError) or why == TIME_OVER:
        return _Failed(Reason.DIRECTORY_TIMEOUT, "it does not answer in time")
    if isinstance(error, TooManyMessages):
        return _Failed(Reason.DIRECTORY_SEVERAL_ENTRIES, why, final=True)
    if isinstance(error, ssl.SSLError):
        return _Failed(Reason.DIRECTORY_TLS_FAILED, why)
    if isinstance(error, LDAPSessionTerminatedByServerError):
        return _Failed(Reason.DIRECTORY_UNREACHABLE, "its server closed the connection early")
    if isinstance(error, OSError | UnresolvedError) and not isinstance(error, LDAPException):
        return _Failed(reason, why)
    if isinstance(error, LDAPException):
        why = f"its server's answer cannot be read: {type(error).__name__}"
    return _Failed(reason if reason is Reason.DIRECTORY_TLS_FAILED else Reason.DIRECTORY_ANSWER_UNUSABLE, why)


def _start_tls(messages: LdapSocket, host: str) -> None:
    """Have the server agree to TLS (RFC 4511, section 4.14)."""
    with _failing_as(Reason.DIRECTORY_TLS_FAILED, messages):
        connection = ldap_connection(messages, host, authentication=ldap3.ANONYMOUS)
        connection.extended(START_TLS)
        if _code(connection, "extendedResp") != _SUCCESS:
            raise _Failed(Reason.DIRECTORY_TLS_FAILED, f"it refuses StartTLS: {outcome(connection)}")


def _bound(messages: LdapSocket, host: str, servers: DirectoryServers) -> ldap3.Connection:
    with _failing_as(Reason.DIRECTORY_UNREACHABLE, messages):
        connection = ldap_connection(messages, host, **_credentials(servers))
        connection.bind(read_server_info=False)
        code = _code(connection, "bindResponse")
        if code == _REFERRAL:
            raise _Failed(Reason.DIRECTORY_REFERRAL, "it sends the bind to another server", final=True)
        if code != _SUCCESS:
            why = f"it refuses the bind: {outcome(connection)}"
            raise _Failed(Reason.DIRECTORY_BIND_REFUSED, why, final=code not in _TROUBLE)
        return connection


def _credentials(servers: DirectoryServers) -> dict[str, Any]:
    if servers.external:
        return {"authentication": ldap3.SASL, "sasl_mechanism": ldap3.EXTERNAL, "sasl_credentials": ""}
    if servers.bind_dn is not None:
        return {"authentication": ldap3.SIMPLE, "user": servers.bind_dn, "password": servers.password}
    return {"authentication": ldap3.ANONYMOUS}


def _found(
    connection: ldap3.Connection, messages: LdapSocket, search: DirectorySearch, seconds: float
) -> tuple[DirectoryEntry, ...]:
    scope = {"base": ldap3.BASE, "one": ldap3.LEVEL, "subtree": ldap3.SUBTREE}[search.scope]
    with _failing_as(Reason.DIRECTORY_UNREACHABLE, messages):
        connection.search(
            search.base, search.filter, scope, ldap3.DEREF_NEVER, list(search.attributes),
            size_limit=search.entries_max + 1, time_limit=max(1, int(seconds)),
        )  # fmt: skip
        _check_result(connection, search)
        entries = [one for one in connection.response if one.get("type") == "searchResEntry"]
        if len(entries) > search.entries_max:
            raise _Failed(Reason.DIRECTORY_SEVERAL_ENTRIES, f"more than {search.entries_max} entries fit", final=True)
        return tuple(_entry(one) for one in entries)


def _check_result(connection: ldap3.Connection, search: DirectorySearch) -> None:
    code = _code(connection, "searchResDone")
    references = any(one.get("type") == "searchResRef" for one in connection.response)
    if code == _REFERRAL or (references and not search.servers.ignore_references):
        raise _Failed(Reason.DIRECTORY_REFERRAL, "it sends the search to another server", final=True)
    if code == _SIZE_LIMIT:
        raise _Failed(Reason.DIRECTORY_SEVERAL_ENTRIES, "more entries fit than it gives out", final=True)
    if code == _TIME_LIMIT:
        raise _Failed(Reason.DIRECTORY_TIMEOUT, "its own time limit was over")
    if code in _TROUBLE:
        raise _Failed(Reason.DIRECTORY_UNREACHABLE, f"it does not serve now: {outcome(connection)}")
    if code != _SUCCESS:
        why = f"it does not answer the search: {outcome(connection)}"
        raise _Failed(Reason.DIRECTORY_ANSWER_UNUSABLE, why, final=True)


def _code(connection: ldap3.Connection, kind: str) -> int:
    """Return the result code of an answer, which must be one to what was asked: ldap3 takes any."""
    if connection.result["type"] != kind:
        raise TransferError("its server answers what it was not asked")
    return int(connection.result["result"])


def _entry(response: dict[str, Any]) -> DirectoryEntry:
    held: dict[str, dict[bytes, None]] = {}
    for name, values in response["raw_attributes"].items():
        key = str(name).lower().removesuffix(BINARY)
        if ";" not in key:
            held.setdefault(key, {}).update(dict.fromkeys(bytes(value) for value in values))
    size = sum(len(name) + len(value) + 8 for name, values in held.items() for value in values)
    if size > ENTRY_MAX or sum(map(len, held.values())) > VALUES_MAX:
        raise _Failed(Reason.DIRECTORY_ANSWER_UNUSABLE, f"an entry is larger than {ENTRY_MAX} bytes", final=True)
    if not all(name.isascii() and name.isprintable() for name in held):
        raise ProtocolError("an attribute has a name that no attribute has")
    return DirectoryEntry(str(response.get("dn", "")), {name: tuple(values) for name, values in held.items()})
