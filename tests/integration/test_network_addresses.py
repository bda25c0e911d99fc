# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a URL may lead, directly and through a proxy: the network process against servers on loopback."""

from __future__ import annotations

import re

import pytest

from tests.support.network_process import (
    Network,
    by_certificate,
    configured,
)
from tests.support.tcp_server import answers, ok, redirect, serving

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
