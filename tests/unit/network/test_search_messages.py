# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages about searches: what is written is what is read, each malformed one is refused, no secret is shown."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.errors import ProtocolError
from pam_sc.frames import Frame, encode
from pam_sc.network.messages import NETWORK_PAYLOAD_MAX, Kind
from pam_sc.network.search_messages import (
    ENTRY_MAX,
    FAILURES,
    Entry,
    Refused,
    SearchOrder,
    entry_frame,
    read_entry,
    read_refused,
    read_search,
    read_search_answer,
    refused_frame,
    search_frame,
)
from pam_sc.network.wire import MAX_WHY
from pam_sc.record import replace
from pam_sc.services import DirectoryEntry, DirectorySearch, DirectoryServers

SERVERS = DirectoryServers(
    urls=("ldaps://a.example.test", "ldap://b.example.test:389"), start_tls=True, ca_pem=b"CA", verify=False,
    bind_dn="cn=Zoë", password=b"secret\xff", external=True, client_pem=b"KEY", connect_s=1.5, search_s=2.25,
    ignore_references=True,
)
FULL = SearchOrder(number=7, end_ms=123456, search=DirectorySearch(
    servers=SERVERS, base="ou=Mädchen", scope="one", filter="(uid=ä)", attributes=("uid", "userCertificate;binary"),
    entries_max=3))
PLAIN = SearchOrder(number=1, end_ms=0, search=DirectorySearch(
    servers=DirectoryServers(urls=("ldap://x",)), base="", filter="(a=b)", attributes=()))
ENTRY = Entry(3, DirectoryEntry("cn=ä", {"uid": (b"a", b""), "mail": (b"\xff",)}))


def with_search(**changes: object) -> SearchOrder:
    return replace(PLAIN, search=replace(PLAIN.search, **changes))


def with_servers(**changes: object) -> SearchOrder:
    return with_search(servers=replace(PLAIN.search.servers, **changes))


@pytest.mark.parametrize("order", [FULL, PLAIN, with_search(scope="base"), with_servers(bind_dn="", password=b"")])
def test_search_is_read_as_it_was_written(order: SearchOrder) -> None:
    assert read_search(search_frame(order)) == order


def test_nothing_shows_what_a_directory_is_asked_with() -> None:
    for shown in (repr(FULL), repr(FULL.search), repr(SERVERS), str(read_search(search_frame(FULL)))):
        assert not any(secret in shown for secret in ("secret", "KEY", "b'CA'"))


@pytest.mark.parametrize("order", [
    with_search(scope="all"), with_search(entries_max=0), with_search(entries_max=17), with_search(filter="x" * 20_000),
    with_search(base="x" * 1025), with_search(attributes=("a",) * 33), with_search(attributes=("ä",)),
    with_servers(urls=()), with_servers(urls=("ldap://x",) * 11), with_servers(urls=("ldap://ä",)),
    with_servers(password=b"x" * 1025), with_servers(ca_pem=b"x" * (100 * 1024 + 1)), with_servers(connect_s=1e9),
])
def test_search_out_of_its_bounds_is_not_sent(order: SearchOrder) -> None:
    with pytest.raises(ProtocolError) as refused:
        search_frame(order)
    assert "xxxx" not in str(refused.value)


def test_longest_search_fits_the_channel() -> None:
    longest = replace(FULL, search=replace(FULL.search, filter="f" * 16384, base="b" * 1024, servers=replace(
        SERVERS, urls=("u" * 1024,) * 10, ca_pem=b"c" * 48 * 1024, client_pem=b"k" * 48 * 1024, password=b"p" * 1024)))
    assert encode(search_frame(longest), NETWORK_PAYLOAD_MAX)


def test_entry_is_read_as_it_was_written() -> None:
    assert read_entry(entry_frame(ENTRY)) == ENTRY
    assert read_search_answer(entry_frame(ENTRY)) == ENTRY


@pytest.mark.parametrize("reason", FAILURES)
def test_refusal_is_read_as_it_was_written(reason: object) -> None:
    refused = Refused(3, reason, "why")  # type: ignore[arg-type]
    assert read_refused(refused_frame(refused)) == refused
    assert read_refused(refused_frame(replace(refused, why="ä\n" + "x" * 1000))).why == ("??" + "x" * 1000)[:MAX_WHY]


@pytest.mark.parametrize("attributes", [
    {"uid": (b"x" * ENTRY_MAX,)}, {"uid": (b"",) * 1025}, {"uïd": (b"",)}, {"u\nd": (b"",)},
])
def test_entry_out_of_its_bounds_is_not_sent(attributes: dict[str, tuple[bytes, ...]]) -> None:
    with pytest.raises(ProtocolError):
        entry_frame(Entry(1, DirectoryEntry("x", attributes)))


def test_largest_entry_fits_the_channel() -> None:
    entry = Entry(1, DirectoryEntry("x" * 1024, {"uid": (b"x" * (ENTRY_MAX - 11),)}))
    assert encode(entry_frame(entry), NETWORK_PAYLOAD_MAX)


@pytest.mark.parametrize("frame", [
    Frame(Kind.REFUSED, (b"\0\0\0\1", b"\x63", b"")), Frame(Kind.REFUSED, (b"\0\0\0\1", b"", b"")),
    Frame(Kind.REFUSED, (b"\0\0\0\1", b"\0", b"\x1b[2J")), Frame(Kind.ENTRY, (b"\0\0\0\1", b"x")),
    Frame(Kind.ENTRY, (b"\0\0\0\1", b"x", b"\0\0\0\1a")), Frame(Kind.ENTRY, (b"\0\0\0\1", b"x", b"\0\0\0\7a")),
    Frame(Kind.ENTRY, (b"\0\0\0\1", b"x", b"\0\0")), Frame(Kind.ENTRY, (b"\1", b"x", b"")),
])
def test_malformed_answer_is_refused(frame: Frame) -> None:
    with pytest.raises(ProtocolError):
        read_search_answer(frame)


def test_other_answers_are_not_about_searches() -> None:
    assert read_search_answer(Frame(Kind.DONE, ())) is None


@given(kind=st.sampled_from([Kind.SEARCH, Kind.ENTRY, Kind.REFUSED]), fields=st.lists(st.binary(max_size=40), max_size=16))
def test_only_our_error_escapes_from_any_message(kind: Kind, fields: list[bytes]) -> None:
    with contextlib.suppress(ProtocolError):
        read_search_answer(Frame(kind, tuple(fields)))
    with contextlib.suppress(ProtocolError):
        read_search(Frame(kind, tuple(fields)))


@given(at=st.integers(0, 14), junk=st.binary(max_size=64))
def test_only_our_error_escapes_from_a_search_with_one_odd_field(at: int, junk: bytes) -> None:
    fields = list(search_frame(FULL).fields)
    fields[at] = junk
    with contextlib.suppress(ProtocolError):
        read_search(Frame(Kind.SEARCH, tuple(fields)))
