# SPDX-License-Identifier: LGPL-2.1-or-later
"""Addresses that a URL from a certificate or a server must not lead to, because what listens there trusts who can ask.

Loopback, link-local, multicast, unspecified and broadcast addresses, and IPv6 forms that hold such an IPv4 address.
Private networks are allowed: that is where a company's CA publishes. Nothing here looks up a name.
"""

from __future__ import annotations

import ipaddress
import socket

_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def refused_class(address: str) -> str | None:
    """Return the class for which this address is refused, None if it may be asked. A malformed address is refused."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "malformed"
    own = _class_of(parsed)
    if own is None and isinstance(parsed, ipaddress.IPv6Address):
        held = _held(parsed)
        return None if held is None else _class_of(held)
    return own


def _class_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if address.is_unspecified or address in _THIS_NETWORK:
        return "unspecified"
    return "broadcast" if address == _BROADCAST else None


def _held(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address in a mapped, compatible, 6to4 or NAT64 address."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _COMPATIBLE or address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def refused_name(host: str) -> str | None:
    """Return the class for which a host is refused by how it is written, where somebody else looks it up."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    if ":" in name:
        return refused_class(name)
    try:
        return refused_class(socket.inet_ntoa(socket.inet_aton(name)))  # 127.1 and 0x7f000001 too
    except OSError:
        return None


def refusal(kind: str) -> str:
    """Say that a URL leads to an address of a class that is refused, and what would allow it."""
    return (
        f"the URL leads to a {kind} address, which only a URL of the configuration may, "
        'unless [revocation] loopback is "allow"'
    )
