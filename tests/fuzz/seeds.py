# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the fuzzers of the Python side start from: certificates of every shape that a mapper looks at, mapfiles, both formats
of the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from pam_sc.decision.alternative_names import USER_PRINCIPAL_NAME
from pam_sc.decision.kerberos import KRB5_PRINCIPAL_NAME
from tests.support.der import tlv
from tests.support.pki import CertificateAuthority

PRINCIPAL = tlv(0x30, tlv(0xA0, tlv(0x1B, b"EXAMPLE.TEST")) + tlv(
    0xA1, tlv(0x30, tlv(0xA0, tlv(0x02, b"\x01")) + tlv(0xA1, tlv(0x30, tlv(0x1B, b"alice"))))))
SID = tlv(0x30, tlv(0xA0, bytes.fromhex("060a2b060104018237190201") + tlv(0xA0, tlv(0x04, b"S-1-5-21-1-2-3-1104"))))
SAN = (
    x509.RFC822Name("alice@example.test"),
    x509.DNSName("host.example.test"),
    x509.UniformResourceIdentifier("https://example.test/alice"),
    x509.OtherName(x509.ObjectIdentifier(USER_PRINCIPAL_NAME), tlv(0x0C, b"alice@example.test")),
    x509.OtherName(x509.ObjectIdentifier(KRB5_PRINCIPAL_NAME), PRINCIPAL),
    x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), tlv(0x0C, b"free")),
    x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4.5")),
)


def certificates() -> Iterator[bytes]:
    """Certificates in DER."""
    authority = CertificateAuthority()
    extra = [
        x509.NameAttribute(x509.NameOID.USER_ID, "alice"),
        x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, "alice@example.test"),
    ]
    sid = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.311.25.2"), SID)
    yield authority.issue(common_name="alice", key="p256").der
    yield authority.issue(common_name=["alice", "Alice, Example"], extra_subject=extra, san=SAN, key="p256").der
    yield authority.issue(common_name=None, san=SAN[:1], key="rsa2048", extensions=[(sid, False)]).der


MAPFILES = (
    b"# people\nAlice Example -> alice\n^Bob .*$ -> bob\r\n\n  carol\t -> carol",
    b"/C=XX/O=Example/CN=alice -> alice\nno arrow\n\xff\xfe -> root\n",
    b"^(a|b)+$ -> alice\n^[[:alpha:]]$ -> bob\nalice -> -root\n",
)

CONFIGURATIONS = (
    (Path(__file__).resolve().parents[2] / "etc" / "pam_sc.toml").read_bytes(),
    b"""pam_pkcs11 {
  nullok = true; debug=false;
  use_pkcs11_module = opensc;
  pkcs11_module opensc {
    module = /usr/lib/opensc-pkcs11.so; slot_description = "none"; ca_dir = /etc/cacerts;
    cert_policy = ca,signature,ocsp_on,crl_auto;
  }
  use_mappers = digest, cn, pwent, ldap;
  mapper digest { algorithm = "sha1"; mapfile = file:///etc/digest_map; }
  mapper cn { ignorecase = true; mapfile = "none"; }
  mapper ldap { uri = "ldap://localhost"; filter = "(&(objectClass=posixAccount)(uid=%s))"; }
}
""",
    b"""pkcs11_eventmgr {
  daemon = true; polling_time = 1; expire_time = 30; pkcs11_module = /usr/lib/opensc-pkcs11.so;
  event card_insert { on_error = ignore; action = "play /a.wav", "xscreensaver-command -deactivate"; }
  event card_remove { on_error = return; action = "DISPLAY=:0 xlock", "su alice -c 'logger \\"a b\\"'"; }
  event expire_time { action = "loginctl terminate-session"; }
}
""",
    b"""[certmap/files/one]
matchrule = <ISSUER>CN=Root.*<EKU>clientAuth
maprule = LDAPU1:({subject_dn_component.cn[1]})
priority = 10
""",
)
