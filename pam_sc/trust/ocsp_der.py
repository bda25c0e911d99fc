# SPDX-License-Identifier: LGPL-2.1-or-later
"""The three places of an OCSP response that the library does not show: read out of bytes that it has parsed already.

That the bytes are DER of the right structure is the library's finding. Only called inside `read_strictly`, because what
is not as expected raises ValueError or IndexError.
"""

from __future__ import annotations

from pam_sc.decision.der import SEQUENCE, body, children

_KNOWN = frozenset({
    bytes.fromhex("2b0601050507300103"),  # CRL references: 1.3.6.1.5.5.7.48.1.3
    bytes.fromhex("2b0601050507300106"),  # archive cutoff: 1.3.6.1.5.5.7.48.1.6
    bytes.fromhex("551d15"),  # reasonCode: 2.5.29.21
    bytes.fromhex("551d18"),  # invalidityDate: 2.5.29.24
})
"""Extensions of a SingleResponse that change nothing here when they are critical (RFC 6960, section 4.4)."""

_HASHES = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}

_TAG_0, _TAG_1 = 0xA0, 0xA1


def raw_singles(response_data: bytes) -> list[bytes]:
    """Return each SingleResponse of a ResponseData: its only element that is a SEQUENCE holds them."""
    return children(next(each for each in children(response_data) if each[0] == SEQUENCE))


def critical_problem(single: bytes) -> str | None:
    """Return that a SingleResponse has an unknown critical extension, None if it has none.

    The library shows these extensions only where a response holds one SingleResponse.
    """
    _cert_id, _cert_status, _this_update, *optional = children(single)
    for extensions in (each for each in optional if each[0] == _TAG_1):
        for extension in children(children(extensions)[0]):
            oid, *others = children(extension)
            is_critical = len(others) > 1  # DER leaves out what is FALSE
            if is_critical and body(oid) not in _KNOWN:
                return "its answer about the certificate has a critical extension that nobody knows here"
    return None


def pss_hash_name(response: bytes) -> str | None:
    """Return the hash of a response that is signed with RSASSA-PSS, None if nobody knows it (RFC 4055, section 3.1)."""
    _status, response_bytes = children(response)
    _type, basic = children(children(response_bytes)[0])
    _data, algorithm, *_rest = children(body(basic))
    _oid, parameters = children(algorithm)
    for parameter in children(parameters):
        if parameter[0] == _TAG_0:
            return _HASHES.get(body(children(children(parameter)[0])[0]))
    return "sha1"
