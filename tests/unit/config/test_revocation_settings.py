# SPDX-License-Identifier: LGPL-2.1-or-later
"""What [trust] and [revocation] may say: every option at its place, and beside each the near misses of its value."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from pam_sc.config import values
from pam_sc.config.model import Fetch, LookupSettings, OcspNonce, OcspResponder, RevocationSettings, TrustSettings
from pam_sc.config.schema import UnacceptableError
from pam_sc.decision.policy import Algorithms, RevocationMode, RevocationSource
from pam_sc.errors import TransferError
from pam_sc.network.urls import parse_proxy, parse_url
from pam_sc.record import replace
from tests.unit.config.files import MINIMAL, load_text, refusal

WHOLE = """\
[[token.module]]
path = "{module}"
[[mapper]]
name = "cn"
[trust]
anchors = "/etc/pam_sc/anchors"
algorithms = "legacy"
strict = false
partial_paths = true
policies = ["2.16.840.1.101.2.1.11.42", "1.3.6.1.4.1.311.1"]
[revocation]
mode = "prefer"
crls = "/etc/pam_sc/crls"
store = "/srv/revocation"
fetch = "login"
ocsp = "on"
ocsp_responder = "http://ocsp.example.test:8080/a"
ocsp_nonce = "required"
order = ["crl", "ocsp"]
either = false
sources = ["https://crl.example.test/a.crl", "ldap://ldap.example.test/cn=a?certificateRevocationList"]
timeout = 7
max_size = "64 MiB"
clock_skew = 0
proxy = "http://proxy.example.test:3128"
loopback = "allow"
[[revocation.ca]]
name = "partner"
certificate = "/etc/pam_sc/partner.pem"
mode = "require"
order = ["crl"]
ocsp_responder = {{ url = "https://two.example.test/", certificate = "/etc/pam_sc/two.pem" }}
timeout = 300
max_size = 1024
clock_skew = 86400
[[revocation.ca]]
name = "quiet"
certificate = "/etc/pam_sc/quiet.pem"
"""

WHOLE_LOOKUP = LookupSettings(
    mode=RevocationMode.PREFER,
    fetch=Fetch.LOGIN,
    ocsp=True,
    ocsp_responder=OcspResponder(url="http://ocsp.example.test:8080/a"),
    ocsp_nonce=OcspNonce.REQUIRED,
    order=(RevocationSource.CRL, RevocationSource.OCSP),
    either=False,
    sources=("https://crl.example.test/a.crl", "ldap://ldap.example.test/cn=a?certificateRevocationList"),
    timeout_s=7,
    max_bytes=64 << 20,
    clock_skew_s=0,
    proxy="http://proxy.example.test:3128",
    loopback=True,
)


def revocation(file: Path, module: Path, text: str) -> RevocationSettings:
    return load_text(file, MINIMAL.format(module=module) + text).revocation


# ---------------------------------------------------------------- what is accepted


def test_what_is_not_said_is_strict_and_leaves_the_network_alone_in_a_login(file: Path, module: Path) -> None:
    read = load_text(file, MINIMAL.format(module=module))
    assert read.trust == TrustSettings(anchors="/etc/pam_sc/anchors")
    assert read.revocation == RevocationSettings()
    assert (read.revocation.store, read.revocation.lookup.fetch) == ("/var/lib/pam_sc/revocation", Fetch.REFRESH)


def test_every_option_of_trust_reaches_its_place(file: Path, module: Path) -> None:
    assert load_text(file, WHOLE.format(module=module)).trust == TrustSettings(
        anchors="/etc/pam_sc/anchors",
        algorithms=Algorithms.LEGACY,
        strict=False,
        partial_paths=True,
        policies=frozenset({"2.16.840.1.101.2.1.11.42", "1.3.6.1.4.1.311.1"}),
    )


def test_every_option_of_revocation_reaches_its_place(file: Path, module: Path) -> None:
    read = load_text(file, WHOLE.format(module=module)).revocation
    assert (read.crls, read.store) == ("/etc/pam_sc/crls", "/srv/revocation")
    assert read.lookup == WHOLE_LOOKUP


def test_what_a_ca_says_holds_for_it_and_the_rest_is_as_for_the_whole(file: Path, module: Path) -> None:
    partner = load_text(file, WHOLE.format(module=module)).revocation.authorities[0]
    assert (partner.name, partner.certificate) == ("partner", "/etc/pam_sc/partner.pem")
    assert partner.where == f"{file}: revocation.ca[0]"
    assert partner.lookup == replace(
        WHOLE_LOOKUP,
        mode=RevocationMode.REQUIRE,
        order=(RevocationSource.CRL,),
        ocsp_responder=OcspResponder(url="https://two.example.test/", certificate="/etc/pam_sc/two.pem"),
        timeout_s=300,
        max_bytes=1024,
        clock_skew_s=86400,
    )


def test_a_ca_that_says_nothing_has_the_rules_of_the_whole(file: Path, module: Path) -> None:
    assert load_text(file, WHOLE.format(module=module)).revocation.authorities[1].lookup == WHOLE_LOOKUP


def test_a_ca_that_stands_before_the_whole_inherits_all_the_same(file: Path, module: Path) -> None:
    text = '[[revocation.ca]]\nname = "a"\ncertificate = "/a.pem"\n[revocation]\nmode = "require"\n'
    (authority,) = revocation(file, module, text).authorities
    assert authority.lookup.mode is RevocationMode.REQUIRE


def test_a_ca_may_switch_off_what_the_whole_switched_on(file: Path, module: Path) -> None:
    text = (
        '[revocation]\nloopback = "allow"\neither = true\nsources = ["http://a.test/"]\n'
        '[[revocation.ca]]\nname = "a"\ncertificate = "/a.pem"\nloopback = "refuse"\neither = false\nsources = []\n'
    )
    (authority,) = revocation(file, module, text).authorities
    assert (authority.lookup.loopback, authority.lookup.either, authority.lookup.sources) == (False, False, ())


def test_ocsp_that_is_off_is_no_source(file: Path, module: Path) -> None:
    read = revocation(file, module, '[revocation]\nocsp = "off"\nclock_skew = 60\n')
    assert read.lookup.rules().sources == (RevocationSource.CRL,)
    assert read.lookup.rules().clock_skew == datetime.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("written", "size"),
    [("1024", 1024), ('"1 KiB"', 1024), ('"1KiB"', 1024), ('"16 GiB"', 16 << 30), ("17179869184", 16 << 30)],
)
def test_a_size_is_bytes_or_text_with_a_unit(file: Path, module: Path, written: str, size: int) -> None:
    assert revocation(file, module, f"[revocation]\nmax_size = {written}\n").lookup.max_bytes == size


URLS = [
    "http://h/", "HTTP://H", "https://[::1]:8443/x.crl", "https://[::1", "ldap://h/o=a?b;binary", "ldap:///o=a", "http:h",
    "http://h:0/", "http://h:65535/", "http://h:65536/", "http://h:/", "http://h:x/", "http://h#f", "http://h/#f",
    "http://h?q", "http://a@h/", "http://h/a@b", "http://h|/", "http://h/\\", "http://h/%20", "http://h/ ", "//h/", "h",
    "ftp://h/", "http://-_.h/", "http://ü/", "http://[::1]x/", "http://h/{a}", "http://h:080/",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_refused_here_exactly_where_the_network_refuses_it(url: str) -> None:
    taken = accepts(lambda: values.url("http", "https", "ldap", "ldaps")(url), UnacceptableError)
    assert taken == accepts(lambda: parse_url(url), TransferError)


@pytest.mark.parametrize("url", [*URLS, "http://h:3128", "http://h:3128/", "http://h//", "http://h/a", "https://h:1"])
def test_a_proxy_is_refused_here_exactly_where_the_network_refuses_it(url: str) -> None:
    taken = accepts(lambda: values.proxy_url(url), UnacceptableError)
    assert taken == accepts(lambda: parse_proxy(url), TransferError)


def accepts(parse: Callable[[], object], refusal: type[Exception]) -> bool:
    try:
        parse()
    except refusal:
        return False
    return True


@pytest.mark.parametrize("url", ["http://h/", "https://[::1]:8443/x.crl", "ldaps://h:636/o=a?b;binary", "HTTP://h"])
def test_a_url_of_each_scheme_is_a_source(file: Path, module: Path, url: str) -> None:
    assert revocation(file, module, f'[revocation]\nsources = ["{url}"]\n').lookup.sources == (url,)


# ---------------------------------------------------------------- near misses

SIZE = 'expected a number of bytes from 1 KiB to 16 GiB, as an integer or as text such as "64 MiB"'
URL = "expected the http, https, ldap or ldaps URL of a CRL"
RESPONDER = 'expected the http or https URL of an OCSP responder, or { url = "...", certificate = "/..." }'
POLICY = "expected an object identifier such as 2.16.840.1.101.2.1.11.9"
PROXY = "expected the http URL of a proxy, such as http://proxy.example:3128"
ORDER = 'expected an array of "ocsp" and "crl", each at most once'
PARTNER = "FILE:28: revocation.ca[0]"

REFUSALS = {
    "algorithms of an unknown kind": (
        '"legacy"',
        '"legcy"',
        "FILE:7: trust.algorithms: found 'legcy', expected one of current, legacy, any; did you mean 'legacy'?",
    ),
    "strictness as a word": (
        "strict = false",
        'strict = "no"',
        "FILE:8: trust.strict: found 'no', expected true or false",
    ),
    "partial paths as a number": (
        "partial_paths = true",
        "partial_paths = 1",
        "FILE:9: trust.partial_paths: found 1 (an integer), expected true or false",
    ),
    "no policy at all": (
        '["2.16.840.1.101.2.1.11.42", "1.3.6.1.4.1.311.1"]',
        "[]",
        "FILE:10: trust.policies: found an empty array, expected an array of at least one certificate policy, each once",
    ),
    "a policy by name": (
        '"1.3.6.1.4.1.311.1"',
        '"anyPolicy"',
        f"FILE:10: trust.policies[1]: found 'anyPolicy' (no object identifier is written so), {POLICY}",
    ),
    "a policy that is no object identifier": (
        '"1.3.6.1.4.1.311.1"',
        '"1.40.6"',
        f"FILE:10: trust.policies[1]: found '1.40.6' (no object identifier is written so), {POLICY}",
    ),
    "a policy with a leading zero": (
        '"1.3.6.1.4.1.311.1"',
        '"1.3.06"',
        f"FILE:10: trust.policies[1]: found '1.3.06' (no object identifier is written so), {POLICY}",
    ),
    "a policy twice": (
        '"1.3.6.1.4.1.311.1"',
        '"2.16.840.1.101.2.1.11.42"',
        (
            "FILE:10: trust.policies[1]: found '2.16.840.1.101.2.1.11.42' twice,"
            " expected an array of at least one certificate policy, each once"
        ),
    ),
    "a relative store": (
        '"/srv/revocation"',
        '"revocation"',
        (
            "FILE:14: revocation.store: found 'revocation' (not absolute),"
            " expected the absolute path of the folder that pam-sc refresh fills"
        ),
    ),
    "fetching by a boolean": (
        'fetch = "login"',
        "fetch = true",
        "FILE:15: revocation.fetch: found true (a boolean), expected one of off, refresh, login",
    ),
    "fetching by an unknown word": (
        'fetch = "login"',
        'fetch = "logins"',
        "FILE:15: revocation.fetch: found 'logins', expected one of off, refresh, login; did you mean 'login'?",
    ),
    "OCSP by a boolean": (
        'ocsp = "on"',
        "ocsp = true",
        'FILE:16: revocation.ocsp: found true (a boolean), expected "on" or "off"',
    ),
    "a misspelt key": (
        'ocsp_nonce = "required"',
        'oscp_nonce = "required"',
        (
            "FILE:18: revocation.oscp_nonce: found an unknown key, expected one of ca, clock_skew, crls, either, fetch,"
            " loopback, max_size, mode, ocsp, ocsp_nonce, ocsp_responder, order, proxy, sources, store, timeout;"
            " did you mean 'ocsp_nonce'?"
        ),
    ),
    "a responder over ldap": (
        '"http://ocsp.example.test:8080/a"',
        '"ldap://ocsp.example.test/a"',
        (
            "FILE:17: revocation.ocsp_responder: found 'ldap://ocsp.example.test/a'"
            f" (of a scheme that is not used here), {RESPONDER}"
        ),
    ),
    "a responder that is an array": (
        '"http://ocsp.example.test:8080/a"',
        '["http://ocsp.example.test:8080/a"]',
        f"FILE:17: revocation.ocsp_responder: found a non-empty array, {RESPONDER}",
    ),
    "a responder with a port that is none": (
        "test:8080/a",
        "test:80800/a",
        (
            "FILE:17: revocation.ocsp_responder: found 'http://ocsp.example.test:80800/a'"
            f" (its host or port is not valid), {RESPONDER}"
        ),
    ),
    "a nonce by an unknown word": (
        '"required"',
        '"requied"',
        (
            "FILE:18: revocation.ocsp_nonce: found 'requied', expected one of off, optional, required;"
            " did you mean 'required'?"
        ),
    ),
    "an order of nothing": ('["crl", "ocsp"]', "[]", f"FILE:19: revocation.order: found an empty array, {ORDER}"),
    "a source twice in the order": (
        '["crl", "ocsp"]',
        '["crl", "crl"]',
        f"FILE:19: revocation.order[1]: found 'crl' twice, {ORDER}",
    ),
    "an unknown kind in the order": (
        '["crl", "ocsp"]',
        '["crls", "ocsp"]',
        "FILE:19: revocation.order[0]: found 'crls', expected \"ocsp\" or \"crl\"; did you mean 'crl'?",
    ),
    "an order that is one word": (
        '["crl", "ocsp"]',
        '"crl"',
        f"FILE:19: revocation.order: found 'crl', {ORDER}",
    ),
    "either by a word": (
        "either = false",
        'either = "no"',
        "FILE:20: revocation.either: found 'no', expected true or false",
    ),
    "one source without brackets": (
        '["https://crl.example.test/a.crl", "ldap://ldap.example.test/cn=a?certificateRevocationList"]',
        '"https://crl.example.test/a.crl"',
        (
            "FILE:21: revocation.sources: found 'https://crl.example.test/a.crl',"
            " expected an array of URLs of CRLs, each once"
        ),
    ),
    "a source over ftp": (
        '"https://crl.example.test/a.crl"',
        '"ftp://crl.example.test/a.crl"',
        (
            "FILE:21: revocation.sources[0]: found 'ftp://crl.example.test/a.crl'"
            f" (of a scheme that is not used here), {URL}"
        ),
    ),
    "a source in a file": (
        '"https://crl.example.test/a.crl"',
        '"file:///etc/pam_sc/a.crl"',
        f"FILE:21: revocation.sources[0]: found 'file:///etc/pam_sc/a.crl' (of a scheme that is not used here), {URL}",
    ),
    "a source without a scheme": (
        '"https://crl.example.test/a.crl"',
        '"/a.crl"',
        f"FILE:21: revocation.sources[0]: found '/a.crl' (not a URL), {URL}",
    ),
    "a source without a host": (
        '"https://crl.example.test/a.crl"',
        '"https:///a.crl"',
        f"FILE:21: revocation.sources[0]: found 'https:///a.crl' (it names no host), {URL}",
    ),
    "a source with a blank": (
        "test/a.crl",
        "test/a b.crl",
        (f"FILE:21: revocation.sources[0]: found 'https://crl.example.test/a b.crl' (no URL is written so), {URL}"),
    ),
    "a source with a password, which is not shown": (
        "https://crl.",
        "https://alice:geheim@crl.",
        (
            "FILE:21: revocation.sources[0]: found a string"
            f" (everybody may read this file, so it must hold no name or password), {URL}"
        ),
    ),
    "no time at all": (
        "timeout = 7",
        "timeout = 0",
        "FILE:22: revocation.timeout: found 0 (an integer) (too small), expected whole seconds from 1 to 300",
    ),
    "a time beyond all patience": (
        "timeout = 7",
        "timeout = 301",
        "FILE:22: revocation.timeout: found 301 (an integer) (too large), expected whole seconds from 1 to 300",
    ),
    "a time as text": (
        "timeout = 7",
        'timeout = "7s"',
        "FILE:22: revocation.timeout: found '7s', expected whole seconds from 1 to 300",
    ),
    "a time as a boolean": (
        "timeout = 7",
        "timeout = true",
        "FILE:22: revocation.timeout: found true (a boolean), expected whole seconds from 1 to 300",
    ),
    "a time with a fraction": (
        "timeout = 7",
        "timeout = 7.5",
        "FILE:22: revocation.timeout: found 7.5 (a number), expected whole seconds from 1 to 300",
    ),
    "a size with a unit that is none": (
        '"64 MiB"',
        '"64 M"',
        f"FILE:23: revocation.max_size: found '64 M' (no size is written so), {SIZE}",
    ),
    "a size of nothing": (
        '"64 MiB"',
        "0",
        f"FILE:23: revocation.max_size: found 0 (an integer) (too small), {SIZE}",
    ),
    "a size one byte too large": (
        '"64 MiB"',
        "17179869185",
        f"FILE:23: revocation.max_size: found 17179869185 (an integer) (too large), {SIZE}",
    ),
    "a size that is too large as text": (
        '"64 MiB"',
        '"17 GiB"',
        f"FILE:23: revocation.max_size: found '17 GiB' (too large), {SIZE}",
    ),
    "a size that is a list": (
        '"64 MiB"',
        "[64]",
        f"FILE:23: revocation.max_size: found a non-empty array, {SIZE}",
    ),
    "clocks that differ backwards": (
        "clock_skew = 0",
        "clock_skew = -1",
        "FILE:24: revocation.clock_skew: found -1 (an integer) (too small), expected whole seconds from 0 to 86400",
    ),
    "a proxy over https": (
        '"http://proxy.example.test:3128"',
        '"https://proxy.example.test:3128"',
        (
            "FILE:25: revocation.proxy: found 'https://proxy.example.test:3128'"
            f" (of a scheme that is not used here), {PROXY}"
        ),
    ),
    "a proxy with a path": (
        '"http://proxy.example.test:3128"',
        '"http://proxy.example.test:3128/a"',
        (
            "FILE:25: revocation.proxy: found 'http://proxy.example.test:3128/a'"
            f" (it names more than a host and a port), {PROXY}"
        ),
    ),
    "a proxy by its host": (
        '"http://proxy.example.test:3128"',
        '"proxy"',
        f"FILE:25: revocation.proxy: found 'proxy' (not a URL), {PROXY}",
    ),
    "loopback by a boolean": (
        'loopback = "allow"',
        "loopback = true",
        'FILE:26: revocation.loopback: found true (a boolean), expected "refuse" or "allow"',
    ),
    # ---- inside [[revocation.ca]]
    "a CA without a name": (
        'name = "partner"',
        "",
        "FILE:27: revocation.ca[0].name: found nothing, expected a name for this CA",
    ),
    "a CA with an empty name": (
        'name = "partner"',
        'name = ""',
        f"{PARTNER}.name: found '' (no name is written so), expected a name for this CA",
    ),
    "a CA without a certificate": (
        'certificate = "/etc/pam_sc/quiet.pem"',
        "",
        (
            "FILE:36: revocation.ca[1].certificate: found nothing,"
            " expected the absolute path of a file with the certificates of this CA"
        ),
    ),
    "a CA with a relative certificate": (
        '"/etc/pam_sc/quiet.pem"',
        '"quiet.pem"',
        (
            "FILE:38: revocation.ca[1].certificate: found 'quiet.pem' (not absolute),"
            " expected the absolute path of a file with the certificates of this CA"
        ),
    ),
    "two CAs of one name": (
        'name = "quiet"',
        'name = "partner"',
        "FILE:37: revocation.ca[1].name: found 'partner', expected another name than that of revocation.ca[0]",
    ),
    "two CAs with one certificate": (
        '"/etc/pam_sc/quiet.pem"',
        '"/etc/pam_sc/partner.pem"',
        (
            "FILE:38: revocation.ca[1].certificate: found '/etc/pam_sc/partner.pem',"
            " expected another certificate than that of revocation.ca[0]"
        ),
    ),
    "a key of the whole in a CA": (
        'mode = "require"',
        'crls = "/etc/pam_sc/crls"',
        (
            "FILE:30: revocation.ca[0].crls: found an unknown key, expected one of certificate, clock_skew, either,"
            " fetch, loopback, max_size, mode, name, ocsp, ocsp_nonce, ocsp_responder, order, proxy, sources, timeout"
        ),
    ),
    "an unknown mode of a CA": (
        'mode = "require"',
        'mode = "named "',
        (
            "FILE:30: revocation.ca[0].mode: found 'named ', expected one of require, named, prefer, off;"
            " did you mean 'named'?"
        ),
    ),
    "a responder's table without a URL": (
        'url = "https://two.example.test/", ',
        "",
        (
            "FILE:32: revocation.ca[0].ocsp_responder.url: found nothing,"
            " expected the http or https URL of an OCSP responder"
        ),
    ),
    "a responder's table with a relative certificate": (
        '"/etc/pam_sc/two.pem"',
        '"two.pem"',
        (
            "FILE:32: revocation.ca[0].ocsp_responder.certificate: found 'two.pem' (not absolute),"
            " expected the absolute path of a file with the certificate of the responder"
        ),
    ),
    "a responder's table with an unknown key": (
        'certificate = "/etc/pam_sc/two.pem"',
        'certifcate = "/etc/pam_sc/two.pem"',
        (
            "FILE:32: revocation.ca[0].ocsp_responder.certifcate: found an unknown key,"
            " expected one of certificate, url; did you mean 'certificate'?"
        ),
    ),
    "clocks of a CA that differ by more than a day": (
        "clock_skew = 86400",
        "clock_skew = 86401",
        (
            "FILE:35: revocation.ca[0].clock_skew: found 86401 (an integer) (too large),"
            " expected whole seconds from 0 to 86400"
        ),
    ),
    "a CA with nothing to ask": (
        'order = ["crl"]\n',
        'order = ["ocsp"]\nocsp = "off"\n',
        'FILE:31: revocation.ca[0].order: found only "ocsp", expected "crl" too, because ocsp is off',
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_near_miss_is_refused_with_line_key_found_and_expected(file: Path, module: Path, case: str) -> None:
    right, wrong, message = REFUSALS[case]
    text = WHOLE.format(module=module)
    assert text.count(right) == 1, "the case must change exactly one thing"
    assert refusal(file, text.replace(right, wrong)) == message


def test_a_ca_is_a_table_of_an_array(file: Path, module: Path) -> None:
    text = MINIMAL.format(module=module) + '[revocation.ca]\nname = "a"\n'
    assert refusal(file, text) == (
        "FILE:7: revocation.ca: found a non-empty table, expected an array of tables: [[revocation.ca]]"
    )


def test_a_whole_with_nothing_to_ask_is_refused(file: Path, module: Path) -> None:
    text = MINIMAL.format(module=module) + '[revocation]\norder = ["ocsp"]\nocsp = "off"\n'
    message = 'FILE:8: revocation.order: found only "ocsp", expected "crl" too, because ocsp is off'
    assert refusal(file, text) == message


def test_a_ca_that_inherits_an_order_it_cannot_use_is_refused(file: Path, module: Path) -> None:
    whole = MINIMAL.format(module=module) + '[revocation]\norder = ["ocsp"]\n'
    text = whole + '[[revocation.ca]]\nname = "a"\ncertificate = "/a.pem"\nocsp = "off"\n'
    message = 'FILE:9: revocation.ca[0].order: found only "ocsp", expected "crl" too, because ocsp is off'
    assert refusal(file, text) == message
