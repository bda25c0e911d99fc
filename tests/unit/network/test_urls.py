# SPDX-License-Identifier: LGPL-2.1-or-later
"""URLs are taken apart by strict rules, and each odd one is refused for what is odd about it."""

from __future__ import annotations

import pytest

from pam_sc.errors import TransferError
from pam_sc.network.ldap_urls import LdapQuery, parse_ldap_query
from pam_sc.network.urls import MAX_URL, Url, parse_proxy, parse_url, redirected

CRL_FILTER = "(objectClass=*)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://pki.example.test/a.crl", ("http", "pki.example.test", 80, "/a.crl")),
        ("HTTPS://PKI.Example.Test/A.crl", ("https", "pki.example.test", 443, "/A.crl")),
        ("http://pki.example.test", ("http", "pki.example.test", 80, "/")),
        ("http://pki.example.test?x", ("http", "pki.example.test", 80, "/?x")),
        ("http://pki.example.test:8080/a%20b?x=1&y=http://z/", ("http", "pki.example.test", 8080, "/a%20b?x=1&y=http://z/")),
        ("http://10.0.0.1:1/", ("http", "10.0.0.1", 1, "/")),
        ("https://[2001:DB8::1]:65535/x", ("https", "2001:db8::1", 65535, "/x")),
        ("ldap://dc.example.test/CN=a?b", ("ldap", "dc.example.test", 389, "/CN=a?b")),
        ("ldaps://dc.example.test", ("ldaps", "dc.example.test", 636, "/")),
        ("http://a_b-c.example.test./", ("http", "a_b-c.example.test.", 80, "/")),
    ],
)
def test_url_is_taken_apart(text: str, expected: tuple[str, str, int, str]) -> None:
    scheme, host, port, rest = expected
    assert parse_url(text) == Url(scheme=scheme, host=host, port=port, rest=rest)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty, too long, or holds characters that no URL has"),
        ("http://a/" + "x" * MAX_URL, "it is empty, too long, or holds characters that no URL has"),
        *[(f"http://example.test/{one}", "it is empty, too long, or holds characters that no URL has")
          for one in (" ", "\r\n", "\t", "\0", "\x7f", "ä", "\u2028", "\\", "<", '"', "{", "|", "^", "`")],
        ("http://exa\nmple.test/", "it is empty, too long, or holds characters that no URL has"),
        *[(text, "its scheme is none of http, https, ldap and ldaps")
          for text in ("file:///etc/passwd", "ftp://example.test/", "gopher://x/", "data:,x", "ldapi://x/", "//x/", "x", "http",
                       "1http://x/", "httpss://x/", ":http://x/")],
        *[(text, "it names no server") for text in ("http:", "http:/x", "http:x", "http://", "http:///x", "ldap:///CN=a?b",
                                                    "http://?x")],
        *[(text, "it has a fragment") for text in ("http://example.test/#x", "http://example.test#", "http:#")],
        *[(text, "it holds a user name")
          for text in ("http://a@b/", "http://a:b@c/", "http://@b/", "http://example.test@127.0.0.1/")],
        *[(text, "its host or port is malformed")
          for text in ("http://a:b/", "http://a:/", "http://a:-1/", "http://a:123456/", "http://a:+1/", "http://[::1/x",
                       "http://[fe80::1%25eth0]/", "http://a%2eb/", "http://a,b/", "http://::1/", "http://[v1.x]/", "http://[]/",
                       "http://a:1:2/", "http://*/", "http://$(x)/")],
        *[(text, "its port is out of range") for text in ("http://a:0/", "http://a:65536/", "http://a:99999/")],
    ],
)
def test_odd_url_is_refused_for_what_is_odd(text: str, why: str) -> None:
    with pytest.raises(TransferError) as raised:
        parse_url(text)
    assert str(raised.value) == f"the URL cannot be used: {why}"


@pytest.mark.parametrize(
    ("text", "authority"),
    [("http://a/", "a"), ("http://a:80/", "a"), ("http://a:443/", "a:443"), ("https://[::1]/", "[::1]"),
     ("https://[::1]:4/", "[::1]:4")],
)
def test_host_header_names_the_port_where_it_is_not_the_usual_one(text: str, authority: str) -> None:
    assert parse_url(text).authority == authority
    assert parse_url(parse_url(text).text) == parse_url(text)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/c?d", "http://pki.example.test:8080/c?d"),
        ("c", "http://pki.example.test:8080/a/c"),
        ("../../c", "http://pki.example.test:8080/c"),
        ("//other.example.test/c", "http://other.example.test/c"),
        ("https://other.example.test", "https://other.example.test/"),
        ("http://other.example.test/c#part", "http://other.example.test/c"),
        ("", "http://pki.example.test:8080/a/b"),
    ],
)
def test_redirect_is_resolved_against_the_url(location: str, expected: str) -> None:
    assert redirected(parse_url("http://pki.example.test:8080/a/b"), location).text == expected


@pytest.mark.parametrize(
    ("start", "location", "why"),
    [
        ("http://a/", None, "the server redirects to nowhere"),
        ("http://a/", "file:///etc/passwd", "the server redirects to a URL that cannot be used"),
        ("http://a/", "/x y", "the server redirects to a URL that cannot be used"),
        ("http://a/", "http://[x/", "the server redirects to a URL that cannot be used"),
        ("http://a/", "ldaps://a/cn=x", "the server redirects to something that is neither http nor https"),
        ("https://a/", "http://a/", "the server redirects from https to http"),
        ("https://a/", "HTTP://b/", "the server redirects from https to http"),
    ],
)
def test_redirect_that_leads_away_is_refused(start: str, location: str | None, why: str) -> None:
    with pytest.raises(TransferError) as raised:
        redirected(parse_url(start), location)
    assert str(raised.value) == why


def test_redirect_from_http_to_https_and_within_https_is_fine() -> None:
    assert redirected(parse_url("http://a/"), "https://a/x").secure
    assert redirected(parse_url("https://a/"), "/x").text == "https://a/x"


def test_proxy_is_http_and_nothing_else() -> None:
    assert parse_proxy("http://proxy.example.test:3128").port == 3128
    assert parse_proxy("http://proxy.example.test/").port == 80
    for text in ("https://a", "http://a/x", "http://a?x", "http://a@b", "a:3128", "ldap://a"):
        with pytest.raises(TransferError):
            parse_proxy(text)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("/cn=a", ("cn=a", "certificaterevocationlist", CRL_FILTER)),
        ("/", ("", "certificaterevocationlist", CRL_FILTER)),
        ("/CN=a%20b%2Cc,DC=d?authorityRevocationList;binary", ("CN=a b,c,DC=d", "authorityrevocationlist", CRL_FILTER)),
        ("/cn=f%C3%BCr%3F??base", ("cn=für?", "certificaterevocationlist", CRL_FILTER)),
        ("/cn=a?x?BASE?(cn=%28)", ("cn=a", "x", "(cn=()")),
        ("/cn=a?x?base?objectClass=cRLDistributionPoint", ("cn=a", "x", "(objectClass=cRLDistributionPoint)")),
        ("/cn=a????bindname=cn", ("cn=a", "certificaterevocationlist", CRL_FILTER)),
        ("/cn=a????", ("cn=a", "certificaterevocationlist", CRL_FILTER)),
    ],
)
def test_ldap_url_names_object_attribute_and_filter(rest: str, expected: tuple[str, str, str]) -> None:
    name, attribute, search_filter = expected
    assert parse_ldap_query(rest) == LdapQuery(name=name, attribute=attribute, search_filter=search_filter)


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("/cn=a??sub", "its scope is not base"),
        ("/cn=a??one", "its scope is not base"),
        ("/cn=a?b,c", "it names more than one attribute"),
        ("/cn=a????!x", "it has a critical extension"),
        ("/cn=a????x,!y", "it has a critical extension"),
        ("/cn=a?????x", "it has too many parts"),
        ("/cn=%FF", "it is not UTF-8"),
        ("/cn=a?%FF", "it is not UTF-8"),
        ("/cn=a%00b", "it holds NUL"),
        ("/cn=a???(x=%00)", "it holds NUL"),
    ],
)
def test_ldap_url_that_asks_for_more_is_refused(rest: str, why: str) -> None:
    with pytest.raises(TransferError) as raised:
        parse_ldap_query(rest)
    assert str(raised.value) == f"the LDAP URL cannot be used: {why}"
