# SPDX-License-Identifier: LGPL-2.1-or-later
"""The network process in its sandbox against servers of every kind, good and hostile, on loopback."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pam_sc
from pam_sc.frames import Frame, encode
from pam_sc.network.messages import Done, Kind, Order, answer_frame, cancel_frame, order_frame
from pam_sc.transfer import Transfer, TransferFailed, Transferred
from tests.support.network_process import (
    Network,
    by_certificate,
    configured,
    network_tree,
    started,
    without_privilege,
)
from tests.support.tcp_server import TcpServer, answers, ok, redirect, serving
from tests.support.worker_tree import WorkerTree

BODY = bytes(range(256)) * 1024
"""256 KiB: several pieces."""
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = 0.4
ORDER = order_frame(Order(number=1, transfer=Transfer(url="http://nothing.invalid/", max_bytes=1), end_ms=0, limit_ms=0,
                          proxy=None, loopback=False))


@pytest.fixture(scope="module")
def tree() -> Iterator[WorkerTree]:
    with network_tree() as made:
        yield made


@pytest.fixture
def network(tree: WorkerTree) -> Iterator[Network]:
    with started([str(tree.worker), "network"], **without_privilege()) as running:
        yield running


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


# Where a URL may lead


LOOPBACK = ("the URL leads to a loopback address, which only a URL of the configuration may, "
            'unless [revocation] loopback is "allow"')


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_url_of_a_certificate_does_not_lead_to_this_machine(network: Network, host: str) -> None:
    with serving(answers(ok(b"x"))) as server:
        url = server.url(host=host)
        assert network.failure(by_certificate(url)) == LOOPBACK
        assert server.heads == []
        assert network.body(configured(url)) == b"x"
        assert network.body(by_certificate(url), loopback=True) == b"x"


def test_redirect_of_a_configured_url_to_another_host_is_the_servers_choice(network: Network) -> None:
    with serving(answers(ok(b"x"))) as target:
        with serving(answers(redirect(target.url(host="localhost")))) as server:
            assert network.failure(server.url()) == LOOPBACK
            assert network.body(server.url(), loopback=True) == b"x"
        with serving(answers(redirect(target.url()))) as server:
            assert network.body(server.url()) == b"x"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest", "link-local"), ("http://[fe80::1]/", "link-local"),
        ("http://224.0.0.1/", "multicast"), ("http://0.0.0.0/", "unspecified"), ("http://[::]/", "unspecified"),
        ("ldap://127.0.0.1/cn=x", "loopback"), ("ldaps://[::1]/cn=x", "loopback"), ("https://127.0.0.1/", "loopback"),
    ],
)
def test_url_of_a_certificate_does_not_lead_to_an_address_of_another_kind(network: Network, url: str, why: str) -> None:
    assert network.failure(by_certificate(url)) == LOOPBACK.replace("a loopback", f"a {why}")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.test/", "http://a@example.test/", "http://example.test:99999/", "http:///x",
            "http://ex\tample.test/", "javascript:1", "http://example.test/\r\nX: y", "ldap:///cn=x", "http://example.test/#x"])
def test_url_that_is_odd_is_refused(network: Network, url: str) -> None:
    assert re.match(r"the URL cannot be used: |it cannot be asked for: ", network.failure(url))


# Proxies


def test_http_goes_through_the_proxy_with_the_whole_url(network: Network) -> None:
    with serving(answers(ok(b"by proxy"))) as proxy:
        wanted = by_certificate("http://pki.example.test:8080/a.crl?x")
        assert network.body(wanted, proxy=proxy.url("")) == b"by proxy"
        assert proxy.heads[0].startswith(b"GET http://pki.example.test:8080/a.crl?x HTTP/1.1\r\nHost: pki.example.test:8080\r\n")


def test_https_asks_the_proxy_to_be_connected_through(network: Network) -> None:
    with serving(answers(b"HTTP/1.1 403 no\r\n\r\n")) as proxy:
        why = network.failure(by_certificate("https://pki.example.test/a.crl"), proxy=proxy.url(""))
        assert why == "the proxy answers with status 403"
        assert proxy.heads[0].startswith(b"CONNECT pki.example.test:443 HTTP/1.1\r\nHost: pki.example.test:443\r\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "a.localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "localhost."])
def test_url_of_a_certificate_does_not_lead_to_the_machine_of_the_proxy_by_its_name(network: Network, host: str) -> None:
    with serving(answers(ok(b"x"))) as proxy:
        assert network.failure(by_certificate(f"http://{host}/"), proxy=proxy.url("")) == LOOPBACK
        assert proxy.heads == []
        assert network.body(configured(f"http://{host}/"), proxy=proxy.url("")) == b"x"


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "http://127.0.0.1:1/x", "ldap://127.0.0.1:1"])
def test_proxy_that_is_no_http_proxy_is_a_failure(network: Network, proxy: str) -> None:
    assert network.failure("http://example.test/", proxy=proxy) == "the proxy cannot be used: expected http://host:port"


# The process


@pytest.mark.parametrize("when", ["before", "while it works"])
def test_process_that_is_killed_fails_what_it_had_and_what_comes(network: Network, when: str) -> None:
    def kill(connection: socket.socket, _head: bytes) -> None:
        network.process.kill()

    if when == "before":
        network.process.kill()
        network.process.wait()
    with serving(kill) as server:
        first, second = network.fetch_all([server.url()] * 2)
        assert isinstance(first, TransferFailed)
        assert first.why.startswith("the network process is lost: ")
        assert second == first
        assert network.fetch(server.url()) == first


def test_process_ends_when_its_channel_closes(network: Network) -> None:
    with serving(wait_for_close) as server:
        assert network.failure(server.url(), seconds=SHORT) == "the time for it was over"
    network.client.close()
    assert network.process.wait(10) == 0


@pytest.mark.parametrize(
    "sent",
    [
        encode(Frame(0x03, ()), 100),
        encode(answer_frame(Done(1, 1)), 100),
        encode(Frame(Kind.TRANSFER, (b"x",)), 100),
        encode(Frame(Kind.CANCEL, (b"x",)), 100),
        b"\1\0\0\0\xff\xff\xff\xff",
        b"\1\1\0\0\0\0\0\0",
        encode(ORDER, 1000) * 2,
    ],
    ids=["unknown", "an answer", "fields", "cancel", "too long", "header", "a number twice"],
)
def test_process_ends_at_an_order_that_the_protocol_does_not_allow(network: Network, sent: bytes) -> None:
    with socket.socket(fileno=os.dup(network.client.fileno())) as channel:
        channel.sendall(sent)
        assert network.process.wait(10) == 1


def test_process_goes_on_after_a_cancel_of_what_it_does_not_know(network: Network) -> None:
    with socket.socket(fileno=os.dup(network.client.fileno())) as channel:
        channel.sendall(encode(cancel_frame(77), 100))
    with serving(answers(ok(b"x"))) as server:
        assert network.body(server.url()) == b"x"


def test_sandbox_is_entered_before_an_order_is_read(network: Network) -> None:
    with serving(answers(ok(b"x"))) as server:
        network.body(server.url())
    status = dict(line.split(":\t") for line in Path(f"/proc/{network.process.pid}/status").read_text().splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"], status["CapEff"]) == ("1", "2", "0" * 16)
    assert set(status["Uid"].split()) == {str(without_privilege().get("user", os.getuid()))}


@pytest.mark.root
def test_process_that_starts_as_root_without_the_account_says_so(tree: WorkerTree) -> None:
    with started(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                  'mount --bind /dev/null /etc/passwd && exec "$@"', "sh", str(tree.worker), "network"]) as network:
        assert network.failure("http://example.test/") == (
            "the network process is lost: the network process cannot be confined: account 'pam_sc' does not exist")


def test_process_of_the_command_line_is_started_and_ended(tree: WorkerTree) -> None:
    script = (
        "import os, sys, time\n"
        "from pam_sc.network.client import start_network_process\n"
        "from pam_sc.transfer import Transfer\n"
        "with start_network_process(sys.argv[1]) as started:\n"
        "    wanted = Transfer(url=sys.argv[2], max_bytes=10, configured=True)\n"
        "    print(started.client.transfer([wanted], time.monotonic() + 20)[0].body)\n"
        "    pid = started._pid\n"
        "print(os.path.exists(f'/proc/{pid}'))\n"
    )
    with serving(answers(ok(b"x"))) as server:
        done = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", f"import sys; sys.path.append({str(tree.root / 'site-packages')!r})\n{script}",
             str(tree.worker), server.url()],
            capture_output=True, text=True, check=False, **without_privilege())
    assert (done.stdout, done.stderr) == ("b'x'\nFalse\n", "")


def test_process_of_the_command_line_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    script = "import sys; sys.path.append(sys.argv[1])\nfrom pam_sc.network.client import start_network_process\n"
    done = subprocess.run(["/usr/bin/python3", "-I", "-c", script + "start_network_process('/nowhere')",
                           str(Path(pam_sc.__file__).parents[1])], capture_output=True, text=True, check=False)
    account_missing = "ConfigError: account 'pam_sc' does not exist" in done.stderr  # only root looks for it
    assert account_missing or "FileNotFoundError" in done.stderr
