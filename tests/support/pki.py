# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small public-key infrastructure for tests: authorities, certificates and CRLs, good ones and crooked ones.

What a library refuses to build (MD5 signatures, raw subjects, negative serial numbers) is made by rewriting the DER of
a good certificate and signing it again. Nothing here may be used outside tests: it signs whatever it is told to.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tests.support.keys import HASHES, PrivateKey, fresh_key, key_pem, shared_key, sign
from tests.support.rewrite import rewrite, rewrite_crl

__all__ = [
    "ANY_PURPOSE", "CLIENT_AUTH", "DAY", "SERVER_AUTH", "SMARTCARD_LOGON", "CertificateAuthority", "Issued",
    "PrivateKey", "Revoked", "Wish", "fresh_key", "key_pem", "key_usage_of", "name_of", "now", "rewrite", "shared_key",
    "sign", "to_pem",
]

CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
SMARTCARD_LOGON = "1.3.6.1.4.1.311.20.2.2"
ANY_PURPOSE = "2.5.29.37.0"

DAY = datetime.timedelta(days=1)

_USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
    "encipherOnly": "encipher_only",
    "decipherOnly": "decipher_only",
}

def now() -> datetime.datetime:
    """The current time in UTC, without a fraction of a second."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and the key that belongs to it."""

    key: PrivateKey
    der: bytes

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate, parsed; ValueError for a crooked one."""
        return x509.load_der_x509_certificate(self.der)

    @property
    def pem(self) -> bytes:
        """The certificate as PEM, whatever is in it."""
        return to_pem(self.der, "CERTIFICATE")

    @property
    def key_pem(self) -> bytes:
        """The key as PEM."""
        return key_pem(self.key)

    @property
    def serial(self) -> int:
        """The serial number."""
        return self.certificate.serial_number


def to_pem(der: bytes, label: str) -> bytes:
    """DER in PEM armour."""
    return f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(der) + f"-----END {label}-----\n".encode()


def name_of(common_names: str | Sequence[str] | None, extra: Sequence[x509.NameAttribute[str]] = ()) -> x509.Name:
    """A name O=Example, then the extra attributes, then each common name."""
    names = [common_names] if isinstance(common_names, str) else list(common_names or ())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"), *extra]
    attributes += [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]
    return x509.Name(attributes)


def key_usage_of(usages: Sequence[str]) -> x509.KeyUsage:
    """The extension with exactly these usages, by their RFC 5280 names."""
    given = {python: rfc in usages for rfc, python in _USAGES.items()}
    return x509.KeyUsage(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Everything that can be asked of a certificate. The defaults make a good login certificate."""

    common_name: str | Sequence[str] | None = "alice"
    extra_subject: Sequence[x509.NameAttribute[str]] = ()
    raw_subject: bytes | None = None
    """A whole DER Name in place of the subject."""
    key: PrivateKey | str = "rsa2048"
    """A key, or a kind: then the shared key of that kind."""
    not_before: datetime.datetime | None = None
    not_after: datetime.datetime | None = None
    key_usage: Sequence[str] | None = ("digitalSignature",)
    extended_key_usage: Sequence[str] | None = (CLIENT_AUTH,)
    san: Sequence[x509.GeneralName] = ()
    crl_distribution_points: Sequence[str] = ()
    ocsp: Sequence[str] = ()
    serial: int | None = None
    ca: bool = False
    path_length: int | None = None
    basic_constraints: bool = True
    identifiers: bool = True
    """subjectKeyIdentifier and authorityKeyIdentifier."""
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = ()
    signature_hash: str = "sha256"
    """md5 and sha1 only with an RSA authority."""
    signing_key: PrivateKey | None = None
    """Sign with this key instead of the authority's: a forgery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """One entry of a CRL."""

    serial: int
    at: datetime.datetime | None = None
    reason: x509.ReasonFlags | None = None


@dataclass(slots=True)
class CertificateAuthority:
    """An authority: self-signed, or under `parent`. Each has a key of its own; two of one name are two authorities.

    `name` is the common name; the whole name is O=Example,CN=name. `key` is a key or a kind.
    """

    name: str = "Test Root"
    key: PrivateKey | str = "p256"
    parent: CertificateAuthority | None = None
    wish: Wish = field(default_factory=lambda: Wish(
        ca=True, key_usage=("keyCertSign", "cRLSign"), extended_key_usage=None,
    ))
    der: bytes = b""
    """The authority's own certificate."""

    def __post_init__(self) -> None:
        """Make key and certificate."""
        if isinstance(self.key, str):
            self.key = fresh_key(self.key)
        if not self.der:
            self.der = _build(replace(self.wish, common_name=self.name, key=self.key), self.parent or self)

    @property
    def private_key(self) -> PrivateKey:
        """The authority's key."""
        assert not isinstance(self.key, str)
        return self.key

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate, parsed."""
        return x509.load_der_x509_certificate(self.der)

    @property
    def pem(self) -> bytes:
        """The authority's own certificate as PEM."""
        return to_pem(self.der, "CERTIFICATE")

    @property
    def subject(self) -> x509.Name:
        """The authority's name."""
        return name_of(self.name, self.wish.extra_subject)

    def issue(self, **wishes: object) -> Issued:
        """Issue a certificate; the keywords are the fields of `Wish`."""
        wish = Wish(**wishes)  # type: ignore[arg-type]
        key = shared_key(wish.key) if isinstance(wish.key, str) else wish.key
        return Issued(key, _build(wish, self))

    def subordinate(self, name: str = "Test Issuing", key: PrivateKey | str = "p256", **wishes: object) -> (
        CertificateAuthority
    ):
        """A certificate authority under this one; the keywords are the fields of `Wish`."""
        wish = Wish(**{
            "ca": True, "key_usage": ("keyCertSign", "cRLSign"), "extended_key_usage": None, **wishes,
        })  # type: ignore[arg-type]
        return CertificateAuthority(name, key, self, wish)

    def crl(  # noqa: PLR0913 - every field of a CRL can be asked for
        self,
        revoked: Sequence[int | Issued | Revoked] = (),
        *,
        this_update: datetime.datetime | None = None,
        next_update: datetime.datetime | None = None,
        number: int | None = 1,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        signing_key: PrivateKey | None = None,
        identifiers: bool = True,
        signature_hash: str = "sha256",
        pem: bool = True,
    ) -> bytes:
        """A CRL of this authority; `signing_key` makes a forgery."""
        key = signing_key or self.private_key
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject)
        builder = builder.last_update(this_update or now() - DAY).next_update(next_update or now() + 30 * DAY)
        for extension, critical in (*self._crl_extensions(number, identifiers, key), *extensions):
            builder = builder.add_extension(extension, critical)
        for entry in revoked:
            builder = builder.add_revoked_certificate(_entry(entry))
        weak = signature_hash in ("md5", "sha1")
        crl = builder.sign(key, _hash_for(key, "sha256" if weak else signature_hash))
        der = crl.public_bytes(serialization.Encoding.DER)
        der = rewrite_crl(der, key, signature_hash) if weak else der
        return to_pem(der, "X509 CRL") if pem else der

    @staticmethod
    def _crl_extensions(
        number: int | None, identifiers: bool, key: PrivateKey
    ) -> list[tuple[x509.ExtensionType, bool]]:
        found: list[tuple[x509.ExtensionType, bool]] = []
        if identifiers:
            found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False))
        if number is not None:
            found.append((x509.CRLNumber(number), False))
        return found


def _entry(entry: int | Issued | Revoked) -> x509.RevokedCertificate:
    if not isinstance(entry, Revoked):
        entry = Revoked(serial=entry if isinstance(entry, int) else entry.serial)
    builder = x509.RevokedCertificateBuilder().serial_number(entry.serial)
    builder = builder.revocation_date(entry.at or now() - 2 * DAY)
    if entry.reason is not None:
        builder = builder.add_extension(x509.CRLReason(entry.reason), critical=False)
    return builder.build()


def _build(wish: Wish, authority: CertificateAuthority) -> bytes:
    key = shared_key(wish.key) if isinstance(wish.key, str) else wish.key
    signer = wish.signing_key or authority.private_key
    builder = x509.CertificateBuilder().issuer_name(authority.subject).public_key(key.public_key())
    builder = builder.subject_name(name_of(wish.common_name, wish.extra_subject))
    builder = builder.serial_number(x509.random_serial_number() if wish.serial is None else wish.serial)
    builder = builder.not_valid_before(wish.not_before or now() - 10 * DAY)
    builder = builder.not_valid_after(wish.not_after or now() + 365 * DAY)
    for extension, critical in _extensions(wish, key, authority):
        builder = builder.add_extension(extension, critical)
    weak = wish.signature_hash in ("md5", "sha1")
    der = builder.sign(signer, _hash_for(signer, "sha256" if weak else wish.signature_hash)).public_bytes(
        serialization.Encoding.DER
    )
    if weak or wish.raw_subject is not None:
        der = rewrite(der, signer, subject=wish.raw_subject, signature_hash=wish.signature_hash if weak else None)
    return der


def _extensions(
    wish: Wish, key: PrivateKey, authority: CertificateAuthority
) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if wish.basic_constraints:
        found.append((x509.BasicConstraints(ca=wish.ca, path_length=wish.path_length), True))
    if wish.key_usage is not None:
        found.append((key_usage_of(wish.key_usage), True))
    if wish.extended_key_usage is not None:
        oids = [x509.ObjectIdentifier(oid) for oid in wish.extended_key_usage]
        found.append((x509.ExtendedKeyUsage(oids), False))
    if wish.identifiers:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.private_key.public_key())
        found.append((issuer, False))
    if wish.san:
        found.append((x509.SubjectAlternativeName(wish.san), False))
    found += _pointers(wish)
    return [*found, *wish.extensions]


def _pointers(wish: Wish) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if wish.crl_distribution_points:
        points = [
            x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
            for url in wish.crl_distribution_points
        ]
        found.append((x509.CRLDistributionPoints(points), False))
    if wish.ocsp:
        ways = [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
            for url in wish.ocsp
        ]
        found.append((x509.AuthorityInformationAccess(ways), False))
    return found


def _hash_for(key: PrivateKey, name: str) -> hashes.SHA256 | None:
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return None
    return HASHES[name]  # type: ignore[return-value]
