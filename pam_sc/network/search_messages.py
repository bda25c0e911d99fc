# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages about a search in a directory (docs/protocol.md), with their bounds on both ends.

SEARCH holds the password or the key that the directory is asked with: what is made of it here shows neither in a repr,
and no error quotes a field. What the directory says is bounded and otherwise not believed.
"""

from __future__ import annotations

from collections.abc import Iterator

from pam_sc.decision.reasons import Reason
from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame
from pam_sc.network.messages import Kind
from pam_sc.network.wire import (
    MAX_WHY,
    U32,
    U64,
    about,
    fields_of,
    pack_items,
    packed,
    read_flags,
    read_items,
    read_text,
    read_u32,
    read_u64,
    shortened,
)
from pam_sc.record import record
from pam_sc.services import DirectoryEntry, DirectorySearch, DirectoryServers

FAILURES = (
    Reason.DIRECTORY_UNREACHABLE, Reason.DIRECTORY_TIMEOUT, Reason.DIRECTORY_TLS_FAILED, Reason.DIRECTORY_BIND_REFUSED,
    Reason.DIRECTORY_REFERRAL, Reason.DIRECTORY_SEVERAL_ENTRIES, Reason.DIRECTORY_ANSWER_UNUSABLE,
)  # fmt: skip
"""What can have gone wrong: in REFUSED, counted from 0."""
SCOPES = ("base", "one", "subtree")
ENTRY_MAX = 96 * 1024
"""Bytes of everything that one entry brings."""
ENTRIES_MAX = 16
VALUES_MAX = 1024
URLS_MAX = 10
_ATTRIBUTES_MAX = 32
_NAME_MAX = 1024
_FILTER_MAX = 16 * 1024
_PEM_MAX = 100 * 1024
_START_TLS, _VERIFY, _CA, _BIND, _PASSWORD, _CLIENT, _EXTERNAL, _IGNORE = 1, 2, 4, 8, 16, 32, 64, 128


@record(kw_only=True)
class SearchOrder:
    """One search as the network process gets it; `end_ms` is on CLOCK_MONOTONIC, in milliseconds."""

    number: int
    search: DirectorySearch
    end_ms: int
    limit_ms: int = 0


@record
class Entry:
    """One entry that was found."""

    number: int
    entry: DirectoryEntry


@record
class Refused:
    """A search came to nothing."""

    number: int
    reason: Reason
    why: str


def search_frame(order: SearchOrder) -> Frame:
    """Return SEARCH; ProtocolError if something in it is too long for the channel."""
    search, servers = order.search, order.search.servers
    if search.scope not in SCOPES:
        raise ProtocolError("network message cannot be sent: an unknown scope")
    frame = about(
        Kind.SEARCH, order.number, bytes([_flags(servers)]), packed(U64, order.end_ms), _milliseconds(servers.connect_s),
        _milliseconds(servers.search_s), packed(U32, search.entries_max), bytes([SCOPES.index(search.scope)]),
        search.base.encode(), search.filter.encode(), pack_items([each.encode() for each in servers.urls]),
        pack_items([each.encode() for each in search.attributes]), servers.ca_pem or b"", (servers.bind_dn or "").encode(),
        servers.password or b"", servers.client_pem or b"",
    )
    read_search(frame)  # what we send is what the other end takes
    return frame


def read_search(frame: Frame) -> SearchOrder:
    """Read SEARCH, or raise ProtocolError."""
    (number, flag, end, connect, search, most, scope, base, wanted, urls, attributes,
     authority, name, password, client) = fields_of(frame, Kind.SEARCH, 15)
    flags = read_flags(flag, 255)
    servers = DirectoryServers(
        urls=tuple(read_text(each, _NAME_MAX) for each in read_items(urls, URLS_MAX)),
        start_tls=bool(flags & _START_TLS), verify=bool(flags & _VERIFY), external=bool(flags & _EXTERNAL),
        ignore_references=bool(flags & _IGNORE), ca_pem=_present(authority, flags & _CA, _PEM_MAX),
        bind_dn=_utf8(name, _NAME_MAX) if flags & _BIND else None, password=_present(password, flags & _PASSWORD, _NAME_MAX),
        client_pem=_present(client, flags & _CLIENT, _PEM_MAX),
        connect_s=read_u32(connect) / 1000, search_s=read_u32(search) / 1000,
    )  # fmt: skip
    entries_max = read_u32(most)
    if not servers.urls or not 0 < entries_max <= ENTRIES_MAX:
        raise ProtocolError("network message is malformed: a search without a server, or for too many entries")
    return SearchOrder(number=read_u32(number), end_ms=read_u64(end), search=DirectorySearch(
        servers=servers, base=_utf8(base, _NAME_MAX), scope=SCOPES[read_flags(scope, 3) % len(SCOPES)],
        filter=_utf8(wanted, _FILTER_MAX), entries_max=entries_max,
        attributes=tuple(read_text(each, _NAME_MAX) for each in read_items(attributes, _ATTRIBUTES_MAX)),
    ))


def entry_frame(answer: Entry) -> Frame:
    """Return ENTRY; ProtocolError if the entry is too large."""
    entry = answer.entry
    pairs = [each for name, values in entry.attributes.items() for value in values for each in (name.encode(), value)]
    frame = about(Kind.ENTRY, answer.number, entry.name.encode(errors="replace")[:_NAME_MAX], pack_items(pairs))
    read_entry(frame)
    return frame


def read_entry(frame: Frame) -> Entry:
    """Read ENTRY, or raise ProtocolError."""
    number, name, held = fields_of(frame, Kind.ENTRY, 3)
    items = read_items(held, 2 * VALUES_MAX)
    if len(held) > ENTRY_MAX or len(name) > _NAME_MAX or len(items) % 2:
        raise ProtocolError(f"network message is malformed: an entry of {len(held)} bytes, at most {ENTRY_MAX}")
    attributes: dict[str, tuple[bytes, ...]] = {}
    for attribute, value in _pairs(items):
        attributes[attribute] = (*attributes.get(attribute, ()), value)
    return Entry(read_u32(number), DirectoryEntry(name.decode(errors="replace"), attributes))


def refused_frame(answer: Refused) -> Frame:
    """Return REFUSED."""
    return about(Kind.REFUSED, answer.number, bytes([FAILURES.index(answer.reason)]), shortened(answer.why))


def read_refused(frame: Frame) -> Refused:
    """Read REFUSED, or raise ProtocolError."""
    number, kind, why = fields_of(frame, Kind.REFUSED, 3)
    if len(kind) != 1 or kind[0] >= len(FAILURES):
        raise ProtocolError("network message is malformed: an unknown kind of failure")
    return Refused(read_u32(number), FAILURES[kind[0]], read_text(why, MAX_WHY))


def read_search_answer(frame: Frame) -> Entry | Refused | None:
    """Read ENTRY or REFUSED; None for what is neither."""
    if frame.type == Kind.ENTRY:
        return read_entry(frame)
    return read_refused(frame) if frame.type == Kind.REFUSED else None


def _flags(servers: DirectoryServers) -> int:
    facts = (
        servers.start_tls, servers.verify, servers.ca_pem is not None, servers.bind_dn is not None,
        servers.password is not None, servers.client_pem is not None, servers.external, servers.ignore_references,
    )  # fmt: skip
    return sum(1 << bit for bit, fact in enumerate(facts) if fact)


def _milliseconds(seconds: float) -> bytes:
    return packed(U32, max(1, int(seconds * 1000)))


def _pairs(items: tuple[bytes, ...]) -> Iterator[tuple[str, bytes]]:
    for at in range(0, len(items), 2):
        yield read_text(items[at], _NAME_MAX), items[at + 1]


def _utf8(data: bytes, longest: int) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("network message is malformed: a text is not UTF-8") from None
    if len(data) > longest:
        raise ProtocolError(f"network message is malformed: a text of {len(data)} bytes, at most {longest}")
    return text


def _present(data: bytes, flag: int, longest: int) -> bytes | None:
    if len(data) > longest or (data and not flag):
        raise ProtocolError("network message is malformed: something is flagged as missing, or too long")
    return data if flag else None
