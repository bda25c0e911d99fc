# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is fetched over http from servers of every kind, good and hostile, by the network process in its sandbox."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

import pytest

from pam_sc.transfer import TransferFailed, Transferred
from tests.support.network_process import (
    Network,
    configured,
)
from tests.support.tcp_server import TcpServer, answers, ok, redirect, serving

BODY = bytes(range(256)) * 1024
"""256 KiB: several pieces."""
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = 0.4


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def wait_for_close(connection: socket.socket, _head: bytes = b"") -> None:
    """Never answer; return when the client has gone."""
    while connection.recv(4096):
        pass


def endless(start: bytes, more: bytes) -> object:
    def handler(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(more)

    return handler


# What is fetched


@pytest.mark.parametrize(
    "answer",
    [
        ok(BODY),
        ok(BODY, "Content-Encoding: identity"),
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
        CHUNKED + b"".join(chunk(BODY[at : at + 1000]) for at in range(0, len(BODY), 1000)) + b"0\r\n\r\n",
        CHUNKED + chunk(BODY) + b"0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + ok(BODY),
        ok(BODY) + b"and more that nobody asked for",
    ],
    ids=["with a length", "identity", "to the end", "in chunks", "with a trailer", "after 100", "with something after it"],
)
def test_whole_body_is_fetched(network: Network, answer: bytes) -> None:
    with serving(answers(answer)) as server:
        assert network.body(server.url()) == BODY


def test_request_names_the_host_and_asks_for_no_encoding(network: Network) -> None:
    with serving(answers(ok(b"x"))) as server:
        network.body(server.url("/a/b.crl?x=%20y", host="localhost"))
        assert server.heads == [(
            f"GET /a/b.crl?x=%20y HTTP/1.1\r\nHost: localhost:{server.port}\r\nUser-Agent: pam_sc\r\nAccept: */*\r\n"
            "Accept-Encoding: identity\r\nConnection: close\r\n\r\n").encode()]


def test_body_is_posted_with_its_type(network: Network) -> None:
    with serving(answers(ok(b"answer"))) as server:
        asked = configured(server.url("/ocsp"), body=b"\x30\x03abc", content_type="application/ocsp-request")
        assert network.body(asked) == b"answer"
        head, _, body = server.heads[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /ocsp HTTP/1.1\r\n")
        assert b"\r\nContent-Type: application/ocsp-request\r\nContent-Length: 5" in head
        assert body == b"\x30\x03abc"


def test_empty_body_is_posted_and_fetched(network: Network) -> None:
    with serving(answers(ok(b""))) as server:
        assert network.body(configured(server.url(), body=b"")) == b""
        assert server.heads[0].startswith(b"POST ")


def test_etag_and_date_of_an_answer_are_handed_on(network: Network) -> None:
    with serving(answers(ok(b"x", 'ETag: "v1"', "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"))) as server:
        assert network.fetch(server.url()) == Transferred(
            body=b"x", etag='"v1"', last_modified="Mon, 01 Jan 2024 00:00:00 GMT")


def test_etag_that_cannot_go_into_a_request_is_dropped(network: Network) -> None:
    with serving(answers(ok(b"x", f'ETag: "{"v" * 2000}"', "Last-Modified: \xe4\x07"))) as server:
        assert network.fetch(server.url()) == Transferred(body=b"x")


def test_copy_at_hand_that_is_current_is_not_fetched_again(network: Network) -> None:
    with serving(answers(b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n')) as server:
        outcome = network.fetch(configured(server.url(), etag='"v1"', last_modified="Mon, 01 Jan 2024 00:00:00 GMT"))
        assert outcome == Transferred(body=b"", not_modified=True, etag='"v1"')
        assert b'\r\nIf-None-Match: "v1"\r\nIf-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT\r\n' in server.heads[0]


def test_not_modified_without_a_copy_at_hand_is_a_failure(network: Network) -> None:
    with serving(answers(b"HTTP/1.1 304 Not Modified\r\n\r\n")) as server:
        assert network.failure(server.url()) == "the server answers with status 304"


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 No Content", "206 Partial Content", "403 x", "300 x"])
def test_another_status_is_a_failure_that_names_it(network: Network, status: str) -> None:
    with serving(answers(ok(b"evil words", status=status))) as server:
        assert network.failure(server.url()) == f"the server answers with status {status[:3]}"


def test_outcomes_stand_in_the_order_of_the_wishes_and_are_told_as_they_come(network: Network) -> None:
    told: list[tuple[int, object]] = []
    so_far: list[tuple[int, int]] = []
    with serving(answers(ok(b"good"))) as good, serving(answers(ok(b"", status="404 x"))) as bad:
        wanted = [good.url(), bad.url(), good.url()]
        outcomes = network.fetch_all(wanted, on_done=lambda *one: told.append(one), on_progress=lambda *one: so_far.append(one))
    assert outcomes == (Transferred(body=b"good"), TransferFailed("the server answers with status 404"),
                        Transferred(body=b"good"))
    assert sorted(told, key=lambda one: one[0]) == list(enumerate(outcomes))
    assert sorted(so_far) == [(0, 4), (2, 4)]


def test_hundred_transfers_are_carried_out(network: Network) -> None:
    with serving(answers(ok(b"x" * 1000))) as server:
        assert set(network.fetch_all([server.url()] * 100)) == {Transferred(body=b"x" * 1000)}


def test_transfers_leave_no_descriptor_behind(network: Network) -> None:
    folder = Path(f"/proc/{network.process.pid}/fd")
    with serving(answers(ok(b"x"))) as good, serving(answers(redirect("/again"))) as bad, serving(answers(b"?")) as ugly:
        network.fetch_all([good.url(), bad.url(), ugly.url()] * 100)
        assert len(os.listdir(folder)) <= 4 + 8  # of the threads that are ending


def test_deadline_may_be_as_far_as_one_likes(network: Network) -> None:
    with serving(answers(ok(b"x"))) as server:
        assert network.body(server.url(), seconds=float("inf"), each_s=float("inf")) == b"x"


def test_nothing_wanted_is_nothing_fetched(network: Network) -> None:
    assert network.fetch_all([]) == ()


def test_body_of_exactly_the_cap_is_fetched_and_one_byte_more_is_not(network: Network) -> None:
    with serving(answers(ok(b"12345"))) as server:
        assert network.body(configured(server.url(), max_bytes=5)) == b"12345"
        assert network.failure(configured(server.url(), max_bytes=4)) == "the body has 5 bytes, at most 4"


# Servers that send too much


@pytest.mark.parametrize(
    ("start", "more", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", BODY, "the body has 104857600 bytes, at most 1048576"),
        (b"HTTP/1.1 200 OK\r\n\r\n", BODY, "the body is larger than 1048576 bytes"),
        (CHUNKED, chunk(BODY), "the body is larger than 1048576 bytes"),
        (CHUNKED, b"1;" + b"x" * 5000 + b"\r\nx\r\n", "the server sends too much beside the body"),
        (CHUNKED + b"0\r\n", b"Trailer: x\r\n", "the server sends too much beside the body"),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 200 + b"\r\n", "its server's answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 5000 + b"\r\n", "the server sends too much beside the body"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 5000, "the server sends too much beside the body"),
        (b"HTTP/1.1 200 ", b"x" * 5000, "the server sends too much beside the body"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "the server sends too much beside the body"),
    ],
    ids=["length", "endless", "chunks", "chunk extensions", "trailers", "headers", "long headers", "one header",
         "status line", "100 Continue"],
)
def test_server_that_sends_too_much_is_cut_off(network: Network, start: bytes, more: bytes, why: str) -> None:
    with serving(endless(start, more)) as server:  # type: ignore[arg-type]
        assert network.failure(server.url()) == why


def test_bodies_that_together_are_too_large_for_the_memory_fail_alone(network: Network) -> None:
    with serving(answers(ok(BODY))) as server:
        outcomes = network.fetch_all([server.url()] * 3, in_memory_max=len(BODY) * 2)
        assert sorted(type(one).__name__ for one in outcomes) == ["TransferFailed", "Transferred", "Transferred"]
        assert TransferFailed("everything together is larger than there is memory for it") in outcomes
        assert network.body(server.url()) == BODY


# Servers that take their time


def drip(start: bytes) -> object:
    def handler(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(start)
        connection.settimeout(0.05)  # one byte in that time, for ever
        while True:
            try:
                connection.recv(1)
            except TimeoutError:
                connection.sendall(b"x")

    return handler


@pytest.mark.parametrize("limit", ["all", "each"])
@pytest.mark.parametrize(
    "handler",
    [wait_for_close, drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), drip(b"HTTP/1.1 200 OK\r\nX: "), drip(b"")],
    ids=["never answers", "drips a body", "drips a header", "drips a status line"],
)
def test_time_limit_cannot_be_stretched(network: Network, handler: object, limit: str) -> None:
    with serving(handler) as server:  # type: ignore[arg-type]
        begin = time.monotonic()
        options = {"seconds": SHORT} if limit == "all" else {"each_s": SHORT}
        assert network.failure(server.url(), **options) == "the time for it was over"  # type: ignore[arg-type]
        assert time.monotonic() - begin < SHORT + 2


def test_server_that_never_speaks_tls_is_cut_off(network: Network) -> None:
    with serving(wait_for_close, reads_head=False) as server:
        assert network.failure(server.url(scheme="https"), each_s=SHORT) == "the time for it was over"


def test_one_that_hangs_delays_no_other(network: Network) -> None:
    with serving(wait_for_close) as slow, serving(answers(ok(b"x"))) as good:
        done: list[int] = []
        wanted = [*[slow.url()] * 7, *[good.url()] * 10]
        outcomes = network.fetch_all(wanted, seconds=SHORT * 3, on_done=lambda index, _: done.append(index))
        assert outcomes == (*[TransferFailed("the time for it was over")] * 7, *[Transferred(body=b"x")] * 10)
        assert sorted(done[:10]) == list(range(7, 17))


def test_place_of_one_that_hung_is_free_again(network: Network) -> None:
    with serving(wait_for_close) as slow, serving(answers(ok(b"x"))) as good:
        outcomes = network.fetch_all([*[slow.url()] * 16, good.url()], each_s=SHORT)
        assert outcomes == (*[TransferFailed("the time for it was over")] * 16, Transferred(body=b"x"))


def test_process_goes_on_after_a_deadline(network: Network) -> None:
    with serving(wait_for_close) as slow, serving(answers(ok(BODY))) as good:
        assert network.failure(slow.url(), seconds=SHORT) == "the time for it was over"
        assert network.body(good.url()) == BODY


def test_deadline_that_is_over_already_asks_nobody(network: Network) -> None:
    with serving(answers(ok(b"x"))) as server:
        assert network.failure(server.url(), seconds=-1) == "the time for it was over"
        assert network.body(server.url()) == b"x"
        assert len(server.heads) == 1


def test_listener_that_raises_gives_up_what_is_under_way(network: Network) -> None:
    def stop(_index: int, _outcome: object) -> None:
        raise InterruptedError

    with serving(wait_for_close) as slow, serving(answers(ok(b"x"))) as good:
        with pytest.raises(InterruptedError):
            network.fetch_all([slow.url(), good.url()], on_done=stop)
        assert network.body(good.url()) == b"x"


# Servers that do not speak HTTP


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "its server closed the connection early"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", "its server closed the connection early"),
        (CHUNKED + b"a\r\n12345", "its server closed the connection early"),
        (CHUNKED + chunk(b"12345"), "its server closed the connection early"),
        (CHUNKED + b"zz\r\n12345\r\n", "its server closed the connection early"),
        (b"\x16\x03\x01\x00\x05evil\r\n\r\n", "its server's answer is not HTTP"),
        (b"220 mail.example.test ESMTP\r\n", "its server's answer is not HTTP"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "its server's answer is not HTTP"),
        (b"HTTP/1.1 999999 OK\r\n\r\n", "its server's answer is not HTTP"),
        (ok(b"x", "Content-Encoding: gzip"), "the server encodes the body, which it was not asked for"),
        (ok(b"x", "Transfer-Encoding: gzip, chunked"), "the server uses a transfer coding that is not chunked"),
        (ok(b"x", "Content-Length: 2"), "the server says in no clear way how long the body is"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "the server says in no clear way how long the body is"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n12345", "the server says in no clear way how long the body is"),
    ],
)
def test_answer_that_is_no_good_is_a_failure_in_our_words(network: Network, answer: bytes, why: str) -> None:
    with serving(answers(answer)) as server:
        assert network.failure(server.url()) == why


def test_server_that_breaks_the_connection_off_is_a_failure(network: Network) -> None:
    def reset(connection: socket.socket, _head: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(reset) as server:
        assert network.failure(server.url()) == "its server closed the connection early"


def test_server_that_is_not_there_is_a_failure(network: Network) -> None:
    with serving(answers()) as server:
        url = server.url()
    assert network.failure(url) == "its server refuses connections"


def test_name_that_does_not_exist_is_a_failure(network: Network) -> None:
    assert network.failure("http://nothing.invalid/a.crl") == "the name of its server cannot be resolved"


# Redirects


def leading_to(location: str, **more: str) -> TcpServer:
    return serving(answers(redirect(location, **more)))  # type: ignore[return-value]


@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
def test_redirect_is_followed(network: Network, status: str) -> None:
    with serving(answers(ok(b"there"))) as target, serving(answers(redirect(target.url("/b"), status))) as server:
        assert network.body(server.url()) == b"there"
        assert target.heads[0].startswith(b"GET /b HTTP/1.1\r\n")


def hops(count: int) -> object:
    """A server that redirects so many times, by relative locations."""

    def handler(connection: socket.socket, head: bytes) -> None:
        at = int(re.match(rb"GET /(\d+) ", head)[1])  # type: ignore[index]
        connection.sendall(ok(b"there") if at == count else redirect(f"{at + 1}#part"))

    return handler


def test_five_redirects_are_followed_and_six_are_not(network: Network) -> None:
    with serving(hops(5)) as server:  # type: ignore[arg-type]
        assert network.body(server.url("/0")) == b"there"
    with serving(hops(6)) as server:  # type: ignore[arg-type]
        assert network.failure(server.url("/0")) == "the server redirects more than 5 times"


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/passwd", "the server redirects to a URL that cannot be used"),
        ("ftp://127.0.0.1/", "the server redirects to a URL that cannot be used"),
        ("ldap://127.0.0.1/cn=x", "the server redirects to something that is neither http nor https"),
        ("http://alice@127.0.0.1/", "the server redirects to a URL that cannot be used"),
        ("http://127.0.0.1:0/", "the server redirects to a URL that cannot be used"),
        ("http://[::1/", "the server redirects to a URL that cannot be used"),
        ("/a b", "the server redirects to a URL that cannot be used"),
    ],
)
def test_redirect_to_something_else_is_not_followed(network: Network, location: str, why: str) -> None:
    with serving(answers(redirect(location))) as server:
        assert network.failure(server.url()) == why


def test_redirect_to_nowhere_is_a_failure(network: Network) -> None:
    with serving(answers(ok(b"", status="302 Found"))) as server:
        assert network.failure(server.url()) == "the server redirects to nowhere"


@pytest.mark.parametrize("status", ["301", "302", "303"])
def test_what_was_posted_is_not_turned_into_something_else(network: Network, status: str) -> None:
    with serving(answers(ok(b"there"))) as target, serving(answers(redirect(target.url(), f"{status} x"))) as server:
        why = network.failure(configured(server.url(), body=b"question"))
        assert why == f"the server redirects what was posted, with status {status}"
        assert target.heads == []


def test_what_was_posted_is_posted_again_where_the_server_says_so(network: Network) -> None:
    with serving(answers(ok(b"there"))) as target, serving(answers(redirect(target.url(), "307 x"))) as server:
        assert network.body(configured(server.url(), body=b"question")) == b"there"
        assert target.heads[0].endswith(b"question")
