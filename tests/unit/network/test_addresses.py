# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which addresses a URL of a certificate must not lead to, each class beside what just is not in it."""

from __future__ import annotations

import pytest

from pam_sc.network.addresses import refused_class, refused_name


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", "loopback"), ("127.255.255.255", "loopback"), ("126.255.255.255", None), ("128.0.0.0", None),
        ("169.254.0.1", "link-local"), ("169.253.255.255", None), ("169.255.0.0", None),
        ("224.0.0.1", "multicast"), ("239.255.255.255", "multicast"), ("223.255.255.255", None),
        ("0.0.0.0", "unspecified"), ("0.1.2.3", "unspecified"), ("1.0.0.0", None),
        ("255.255.255.255", "broadcast"), ("255.255.255.254", None),
        ("10.0.0.1", None), ("192.168.1.1", None), ("172.16.0.1", None), ("100.64.0.1", None), ("192.0.2.1", None),
        ("::1", "loopback"), ("::2", "unspecified"), ("::", "unspecified"),
        ("fe80::1", "link-local"), ("fe80::1%eth0", "link-local"), ("febf::1", "link-local"), ("fec0::1", None),
        ("ff02::1", "multicast"), ("fd00::1", None), ("2001:db8::1", None),
        ("::ffff:127.0.0.1", "loopback"), ("::ffff:169.254.169.254", "link-local"), ("::ffff:10.0.0.1", None),
        ("::ffff:0.0.0.0", "unspecified"), ("::ffff:224.0.0.1", "multicast"), ("::127.0.0.1", "loopback"), ("::10.0.0.1", None),
        ("2002:7f00:1::", "loopback"), ("2002:a00:1::", None), ("64:ff9b::7f00:1", "loopback"), ("64:ff9b::a00:1", None),
        ("", "malformed"), ("localhost", "malformed"), ("127.1", "malformed"), ("1.2.3.4.5", "malformed"),
    ],
)
def test_class_of_an_address(address: str, expected: str | None) -> None:
    assert refused_class(address) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", "loopback"), ("LOCALHOST", "loopback"), ("localhost.", "loopback"), ("a.localhost", "loopback"),
        ("notlocalhost", None), ("localhost.example.test", None), ("pki.example.test", None),
        ("127.0.0.1", "loopback"), ("127.1", "loopback"), ("2130706433", "loopback"), ("0x7f000001", "loopback"),
        ("0177.0.0.1", "loopback"), ("127.0.0.1.", "loopback"), ("10.0.0.1", None), ("10.1", None), ("0", "unspecified"),
        ("::1", "loopback"), ("::ffff:127.0.0.1", "loopback"), ("2001:db8::1", None), ("169.254.169.254", "link-local"),
    ],
)
def test_class_of_a_host_as_it_is_written(host: str, expected: str | None) -> None:
    assert refused_name(host) == expected
