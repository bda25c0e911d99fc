# SPDX-License-Identifier: LGPL-2.1-or-later
"""URLs of http, https, ldap and ldaps, taken apart by strict rules (RFC 3986, a subset): whatever is odd is refused.

A URL may come from a certificate or a server. Nothing is guessed, repaired or stripped; no host is looked up here.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin

from pam_sc.errors import TransferError
from pam_sc.record import record

DEFAULT_PORTS = {"http": 80, "https": 443, "ldap": 389, "ldaps": 636}
WEB = ("http", "https")
MAX_URL = 4096
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_UNSAFE = frozenset('"<>\\^`{|}')


@record(kw_only=True)
class Url:
    """A URL of a server. `rest` is path and query as they were written, never empty."""

    scheme: str
    host: str
    """Without the brackets of an IPv6 address, in lower case."""
    port: int
    rest: str

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken from the first byte."""
        return self.scheme in {"https", "ldaps"}

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.authority}{self.rest}"


def parse_url(text: str) -> Url:
    """Take a URL apart; TransferError says what is wrong with it, without quoting it."""
    if not text or len(text) > MAX_URL or not all("!" <= one <= "~" and one not in _UNSAFE for one in text):
        raise TransferError("the URL cannot be used: it is empty, too long, or holds characters that no URL has")
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[1].lower() not in DEFAULT_PORTS:
        raise TransferError("the URL cannot be used: its scheme is none of http, https, ldap and ldaps")
    if "#" in text:
        raise TransferError("the URL cannot be used: it has a fragment")
    if not text[scheme.end() :].startswith("//"):
        raise TransferError("the URL cannot be used: it names no server")
    netloc = re.split("[/?]", text[scheme.end() + 2 :], maxsplit=1)[0]
    host, port = _authority(netloc, DEFAULT_PORTS[scheme[1].lower()])
    rest = text[scheme.end() + 2 + len(netloc) :]
    return Url(scheme=scheme[1].lower(), host=host, port=port, rest=rest if rest.startswith("/") else f"/{rest}")


def _authority(netloc: str, default_port: int) -> tuple[str, int]:
    if not netloc:
        raise TransferError("the URL cannot be used: it names no server")
    if "@" in netloc:
        raise TransferError("the URL cannot be used: it holds a user name")
    parts = _AUTHORITY.fullmatch(netloc)
    if parts is None:
        raise TransferError("the URL cannot be used: its host or port is malformed")
    port = default_port if parts["port"] is None else int(parts["port"])
    if not 0 < port < 65536:
        raise TransferError("the URL cannot be used: its port is out of range")
    return parts["host"].strip("[]").lower(), port


def parse_proxy(text: str) -> Url:
    """Take the URL of an HTTP proxy apart."""
    proxy = parse_url(text)
    if proxy.scheme != "http" or proxy.rest != "/":
        raise TransferError("the proxy cannot be used: expected http://host:port")
    return proxy


def redirected(url: Url, location: str | None) -> Url:
    """Return where a server sends us on: http or https, and never from https to http (RFC 9110, section 15.4)."""
    if location is None:
        raise TransferError("the server redirects to nowhere")
    try:
        target = parse_url(urljoin(url.text, location.partition("#")[0]))
    except (TransferError, ValueError) as error:
        raise TransferError("the server redirects to a URL that cannot be used") from error
    if target.scheme not in WEB:
        raise TransferError("the server redirects to something that is neither http nor https")
    if url.scheme == "https" and target.scheme == "http":
        raise TransferError("the server redirects from https to http")
    return target
