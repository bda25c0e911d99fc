# SPDX-License-Identifier: LGPL-2.1-or-later
"""SoftHSM tokens for tests: made in a folder of their own, filled with keys and certificates.

Each step runs in a process of its own (this file as a program), because SoftHSM reads its configuration once in a
process. Keys are made once in a test run; a token costs about a tenth of a second.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SOFTHSM = next((path for path in (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
) if os.path.exists(path)), "/usr/lib/softhsm/libsofthsm2.so")

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
KEY_KINDS = ("RSA-2048", "RSA-3072", "P-256", "P-384", "P-521", "Ed25519")
_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
_EC_PARAMS = {
    "secp256r1": "06082a8648ce3d030107", "secp384r1": "06052b81040022", "secp521r1": "06052b81040023",
}
_ED25519_PARAMS = "130c656477617264733235353139"  # SoftHSM wants the curve as a printable string


@functools.cache
def key_of(kind: str, number: int = 0) -> PrivateKey:
    """A private key of this kind; the same one for the same number in a whole test run."""
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))


@functools.cache
def certificate_of(key: PrivateKey, name: str = "alice") -> bytes:
    """A certificate for this key in DER. It signs itself; nobody needs to trust it."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    at = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 4711, at, at + datetime.timedelta(days=9000))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def public_der(key: PrivateKey) -> bytes:
    """The SubjectPublicKeyInfo of a key."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class SoftToken:
    """One SoftHSM token in the folder of one softhsm2.conf."""

    conf: Path
    label: str
    pin: str

    @classmethod
    def create(cls, folder: Path, label: str = "login", pin: str = "123456", so_pin: str = "87654321") -> SoftToken:
        """Make a token; in a folder that has some already, one more beside them."""
        (folder / "tokens").mkdir(parents=True, exist_ok=True)
        conf = _configuration(folder)
        _run(conf, {"do": "init", "label": label, "pin": pin, "so_pin": so_pin})
        return cls(conf, label, pin)

    def copy(self, folder: Path) -> SoftToken:
        """The same token in another folder: a process that is killed while SoftHSM logs in leaves it destroyed."""
        shutil.copytree(self.conf.parent / "tokens", folder / "tokens")
        return SoftToken(_configuration(folder), self.label, self.pin)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find the token."""
        return {"SOFTHSM2_CONF": str(self.conf)}

    def add(self, key: PrivateKey | None, certificate_der: bytes | None, object_id: bytes = b"\x01",
            label: str = "login", *, always_authenticate: bool = False, key_id: bytes | None = None,
            public_key: bool = False, sign: bool = True, private_certificate: bool = False) -> None:
        """Put a private key, a certificate, or both on the token; `key_id` where the key's id is to differ."""
        objects: list[dict[str, Any]] = []
        if certificate_der is not None:
            objects.append({**_certificate(certificate_der, object_id, label), "CKA_PRIVATE": private_certificate})
        if key is not None:
            common = {"CKA_TOKEN": True, "CKA_ID": _hex(object_id if key_id is None else key_id), "CKA_LABEL": label}
            objects.append({**common, "CKA_CLASS": 3, "CKA_PRIVATE": True, "CKA_SENSITIVE": True,
                            "CKA_EXTRACTABLE": False, "CKA_SIGN": sign,
                            "CKA_ALWAYS_AUTHENTICATE": always_authenticate, **_private(key)})
            if public_key:
                objects.append({**common, "CKA_CLASS": 2, "CKA_PRIVATE": False, "CKA_VERIFY": True, **_public(key)})
        _run(self.conf, {"do": "add", "label": self.label, "pin": self.pin, "objects": objects})


def _configuration(folder: Path) -> Path:
    conf = folder / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    return conf


def _hex(value: bytes) -> dict[str, str]:
    return {"hex": value.hex()}


def _certificate(der: bytes, object_id: bytes, label: str) -> dict[str, Any]:
    try:
        subject = x509.load_der_x509_certificate(der).subject.public_bytes()
    except ValueError:
        subject = b"\x30\x00"  # not even a certificate
    return {"CKA_TOKEN": True, "CKA_CLASS": 1, "CKA_CERTIFICATE_TYPE": 0, "CKA_PRIVATE": False, "CKA_LABEL": label,
            "CKA_ID": _hex(object_id), "CKA_SUBJECT": _hex(subject), "CKA_VALUE": _hex(der)}


def _private(key: PrivateKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        parts = {"CKA_MODULUS": numbers.public_numbers.n, "CKA_PUBLIC_EXPONENT": numbers.public_numbers.e,
                 "CKA_PRIVATE_EXPONENT": numbers.d, "CKA_PRIME_1": numbers.p, "CKA_PRIME_2": numbers.q,
                 "CKA_EXPONENT_1": numbers.dmp1, "CKA_EXPONENT_2": numbers.dmq1, "CKA_COEFFICIENT": numbers.iqmp}
        return {"CKA_KEY_TYPE": 0, **{name: _hex(_integer(value)) for name, value in parts.items()}}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        value = key.private_numbers().private_value.to_bytes((key.curve.key_size + 7) // 8, "big")
        return {"CKA_KEY_TYPE": 3, "CKA_EC_PARAMS": {"hex": _EC_PARAMS[key.curve.name]}, "CKA_VALUE": _hex(value)}
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return {"CKA_KEY_TYPE": 0x40, "CKA_EC_PARAMS": {"hex": _ED25519_PARAMS}, "CKA_VALUE": _hex(raw)}


def _public(key: PrivateKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"CKA_KEY_TYPE": 0, "CKA_MODULUS": _hex(_integer(numbers.n)),
                "CKA_PUBLIC_EXPONENT": _hex(_integer(numbers.e))}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        params, kind = _EC_PARAMS[key.curve.name], 3
    else:
        point = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        params, kind = _ED25519_PARAMS, 0x40
    length = bytes((len(point),)) if len(point) < 128 else b"\x81" + bytes((len(point),))
    return {"CKA_KEY_TYPE": kind, "CKA_EC_PARAMS": {"hex": params}, "CKA_EC_POINT": _hex(b"\x04" + length + point)}


def _integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _run(conf: Path, order: dict[str, Any]) -> None:
    subprocess.run([sys.executable, __file__], input=json.dumps(order), text=True, check=True,
                   env={"SOFTHSM2_CONF": str(conf), "PATH": "/usr/bin:/bin"})


def _main() -> None:
    order = json.load(sys.stdin)
    import PyKCS11

    library = PyKCS11.PyKCS11Lib()
    library.load(SOFTHSM)
    if order["do"] == "init":
        _init(PyKCS11, library, order)
    else:
        _add(PyKCS11, library, order)


def _init(pykcs11: Any, library: Any, order: dict[str, Any]) -> None:
    empty = next(slot for slot in library.getSlotList() if not library.getTokenInfo(slot).flags & 0x400)
    library.initToken(empty, order["so_pin"], order["label"].ljust(32))
    session = library.openSession(_slot(library, order["label"]), pykcs11.CKF_RW_SESSION | pykcs11.CKF_SERIAL_SESSION)
    session.login(order["so_pin"], pykcs11.CKU_SO)
    session.initPin(order["pin"])


def _add(pykcs11: Any, library: Any, order: dict[str, Any]) -> None:
    session = library.openSession(_slot(library, order["label"]), pykcs11.CKF_RW_SESSION | pykcs11.CKF_SERIAL_SESSION)
    session.login(order["pin"])
    for attributes in order["objects"]:
        session.createObject([(getattr(pykcs11, name), tuple(bytes.fromhex(value["hex"])) if isinstance(value, dict)
                               else value) for name, value in attributes.items()])


def _slot(library: Any, label: str) -> int:
    return next(slot for slot in library.getSlotList() if library.getTokenInfo(slot).label.rstrip(" \0") == label)


if __name__ == "__main__":
    _main()
