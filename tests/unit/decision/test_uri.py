# SPDX-License-Identifier: LGPL-2.1-or-later
"""A PKCS#11 URI selects what it says, or is refused."""

import pytest

from pam_sc.decision.card_report import (
    CertificateRef,
    CertificateReport,
    ModuleReport,
    SlotReport,
    TokenRef,
    TokenReport,
)
from pam_sc.decision.uri import parse_token_uri
from pam_sc.errors import ConfigError

TOKEN = TokenReport(ref=TokenRef(0, 3), label="My card", manufacturer="Maker", model="M1", serial="0123")
SLOT = SlotReport(slot_id=3, description="Reader 00 00", manufacturer="Reader maker", token=TOKEN)
MODULE = ModuleReport(index=0, path="/m.so", description="Library", manufacturer="Library maker", version="2.6", slots=(SLOT,))


@pytest.mark.parametrize("uri", [
    "pkcs11:",
    "pkcs11:token=My%20card",
    "pkcs11:token=My%20card;serial=0123;model=M1;manufacturer=Maker",
    "pkcs11:slot-id=3",
    "pkcs11:slot-description=Reader%2000%2000;slot-manufacturer=Reader%20maker",
    "pkcs11:library-description=Library;library-manufacturer=Library%20maker;library-version=2.6",
    "pkcs11:token=%4D%79%20card",
])
def test_a_uri_selects_the_token_that_it_describes(uri: str) -> None:
    assert parse_token_uri(uri).selects(MODULE, SLOT, TOKEN)
    assert parse_token_uri(uri).text == uri


@pytest.mark.parametrize("uri", [
    "pkcs11:token=My", "pkcs11:token=my%20card", "pkcs11:token=", "pkcs11:serial=123", "pkcs11:slot-id=4",
    "pkcs11:model=M2", "pkcs11:manufacturer=maker", "pkcs11:library-version=2.7", "pkcs11:token=My+card",
    "pkcs11:token=My%20card;serial=0124",
])
def test_a_uri_that_differs_in_one_thing_does_not_select_it(uri: str) -> None:
    assert not parse_token_uri(uri).selects(MODULE, SLOT, TOKEN)


@pytest.mark.parametrize(("uri", "why"), [
    ("token=a", "begin with 'pkcs11:'"),
    ("PKCS11:token=a", "begin with 'pkcs11:'"),
    ("pkcs11:token=a;token=a", "'token' stands twice"),
    ("pkcs11:tokn=a", "unknown attribute 'tokn'"),
    ("pkcs11:token", "unknown attribute 'token'"),
    ("pkcs11:token=a;", "unknown attribute ''"),
    ("pkcs11:type=private", "type 'private' can be no login"),
    ("pkcs11:type=", "type '' can be no login"),
    ("pkcs11:id=%01;id=%01", "'id' stands twice"),
    ("pkcs11:object=%ff", "'object' is no UTF-8"),
    ("pkcs11:object=%0A", "'object' holds a control character"),
    ("pkcs11:token=a b", "must be written as %XX"),
    ("pkcs11:token=%4", "must be written as %XX"),
    ("pkcs11:token=%ff", "no UTF-8"),
    ("pkcs11:token=%00", "control character"),
    ("pkcs11:token=%E2%80%AE", "control character"),
    ("pkcs11:slot-id=x", "no number"),
    ("pkcs11:slot-id=", "no number"),
    ("pkcs11:slot-id=-1", "no number"),
    ("pkcs11:slot-id=18446744073709551616", "no number"),
    ("pkcs11:token=a?module-path=/m.so", "query attributes"),
    ("pkcs11:vendor-x=1", "unknown attribute 'vendor-x'"),
])
def test_a_uri_that_cannot_be_meant_is_refused(uri: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse_token_uri(uri)


@pytest.mark.parametrize("uri", [
    "pkcs11:token=a?pin-value=93715", "pkcs11:pin-value=93715", "pkcs11:foo=1;pin-value=93715",
    "pkcs11:foo=1?x=y&pin-source=93715", "pkcs11:?pin-value=93715",
])
def test_a_pin_in_a_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"pin-(value|source) is never read") as refused:
        parse_token_uri(uri)
    assert "93715" not in str(refused.value)


CERTIFICATE = CertificateReport(ref=CertificateRef(TokenRef(0, 3), 0), der=b"", object_id=b"\x01\xff", label="Login key")


@pytest.mark.parametrize(("uri", "expected"), [
    ("pkcs11:id=%01%FF", True), ("pkcs11:id=%01", False), ("pkcs11:id=%01%FE", False), ("pkcs11:id=", False),
    ("pkcs11:object=Login%20key", True), ("pkcs11:object=Login", False), ("pkcs11:object=login%20key", False),
    ("pkcs11:type=cert;id=%01%ff;object=Login%20key", True), ("pkcs11:type=cert;id=%01%ff;object=Other", False),
])
def test_the_object_attributes_select_certificates_of_any_token(uri: str, expected: bool) -> None:
    selector = parse_token_uri(uri)
    assert selector.selects(MODULE, SLOT, TOKEN)
    assert selector.certificate is not None
    assert selector.certificate.selects(CERTIFICATE) is expected


def test_a_type_alone_selects_every_certificate() -> None:
    assert parse_token_uri("pkcs11:type=cert;token=My%20card").certificate is None
