# SPDX-License-Identifier: LGPL-2.1-or-later
"""SoftHSM2 tokens in a folder of one's own, filled with given keys and certificates.

The token is made by a process of its own (`python -m tests.support.softhsm`), because a PKCS#11 module keeps the
configuration it was started with for as long as its process lives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.pki import Issued, PrivateKey

KEY_KINDS = ("rsa2048", "rsa3072", "p256", "p384", "p521", "ed25519")
"""The kinds of keys that SoftHSM can hold and sign with."""
SO_PIN = "87654321"
PIN = "123456"
_MODULES = ("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so")
_REPOSITORY = Path(__file__).resolve().parents[2]
_EC_PARAMETERS = {  # the curve's object identifier in DER
    "secp256r1": "06082a8648ce3d030107", "secp384r1": "06052b81040022", "secp521r1": "06052b81040023",
}
_SOME_SUBJECT = "3000"  # CKA_SUBJECT is a hint that nobody should believe
_ED25519_PARAMETERS = "130c656477617264733235353139"  # the printable string that SoftHSM wants in place of the OID


def module_path() -> str:
    """Where SoftHSM's PKCS#11 module lies on this machine."""
    return next(path for path in _MODULES if Path(path).exists())


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate and the private key beside it under one CKA_ID.

    `key` is the certificate's own unless another is named, or None for a certificate without a key.
    """

    issued: Issued
    id: bytes = b"\x01"
    label: str = "login"
    key: PrivateKey | Literal["own"] | None = "own"
    always_authenticate: bool = False
    hidden: bool = False
    """The certificate is private: it is shown only after a login."""


@dataclass(frozen=True, slots=True)
class SoftToken:
    """A folder with softhsm2.conf and a token; `inside` is the same folder as its users see it."""

    folder: Path
    inside: str
    pin: str = PIN

    @property
    def configuration(self) -> str:
        """The value of SOFTHSM2_CONF for its users."""
        return f"{self.inside}/softhsm2.conf"


def create_token(folder: Path, entries: Sequence[Entry], *, label: str = "login", pin: str = PIN,
                 inside: str | None = None, owner: tuple[int, int] | None = None) -> SoftToken:
    """Make the folder with one token. `owner` gets the token's files, which SoftHSM wants to write at login."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    token = SoftToken(folder, inside or str(folder), pin)
    _write_configuration(folder / "maker.conf", str(tokens))
    _fill(folder / "maker.conf", entries, label, pin)
    (folder / "maker.conf").unlink()
    _write_configuration(folder / "softhsm2.conf", f"{token.inside}/tokens")
    if owner is not None:
        for path in (tokens, *tokens.rglob("*")):
            os.chown(path, *owner)
    return token


def _write_configuration(path: Path, tokens: str) -> None:
    path.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")


def _fill(configuration: Path, entries: Sequence[Entry], label: str, pin: str) -> None:
    order = {"module": module_path(), "label": label, "pin": pin, "objects": [o for e in entries for o in _objects(e)]}
    subprocess.run([sys.executable, "-m", "tests.support.softhsm"], input=json.dumps(order), text=True, check=True,
                   cwd=_REPOSITORY, env={**os.environ, "SOFTHSM2_CONF": str(configuration)})


def _objects(entry: Entry) -> list[dict[str, Any]]:
    common = {"CKA_TOKEN": True, "CKA_ID": entry.id.hex(), "CKA_LABEL": entry.label}
    found = [{**common, "CKA_CLASS": 1, "CKA_CERTIFICATE_TYPE": 0, "CKA_PRIVATE": entry.hidden,
              "CKA_SUBJECT": _SOME_SUBJECT, "CKA_VALUE": entry.issued.der.hex()}]
    key = entry.issued.key if entry.key == "own" else entry.key
    if key is not None:
        found.append({**common, "CKA_CLASS": 3, "CKA_PRIVATE": True, "CKA_SENSITIVE": True, "CKA_EXTRACTABLE": False,
                      "CKA_SIGN": True, "CKA_ALWAYS_AUTHENTICATE": entry.always_authenticate, **_key_parts(key)})
    return found


def _key_parts(key: PrivateKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return {"CKA_KEY_TYPE": 0, **_rsa_parts(key.private_numbers())}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.key_size + 7) // 8
        return {"CKA_KEY_TYPE": 3, "CKA_EC_PARAMS": _EC_PARAMETERS[key.curve.name],
                "CKA_VALUE": key.private_numbers().private_value.to_bytes(size).hex()}
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return {"CKA_KEY_TYPE": 0x40, "CKA_EC_PARAMS": _ED25519_PARAMETERS,
            "CKA_VALUE": key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()}


def _rsa_parts(numbers: rsa.RSAPrivateNumbers) -> dict[str, str]:
    parts = {"CKA_MODULUS": numbers.public_numbers.n, "CKA_PUBLIC_EXPONENT": numbers.public_numbers.e,
             "CKA_PRIVATE_EXPONENT": numbers.d, "CKA_PRIME_1": numbers.p, "CKA_PRIME_2": numbers.q,
             "CKA_EXPONENT_1": numbers.dmp1, "CKA_EXPONENT_2": numbers.dmq1, "CKA_COEFFICIENT": numbers.iqmp}
    return {name: value.to_bytes((value.bit_length() + 7) // 8).hex() for name, value in parts.items()}


def _make(order: dict[str, Any]) -> None:
    import PyKCS11
    library = PyKCS11.PyKCS11Lib()
    library.load(order["module"])
    slot = library.getSlotList(tokenPresent=False)[0]
    library.initToken(slot, SO_PIN, order["label"].ljust(32))
    slot = next(s for s in library.getSlotList(tokenPresent=True) if library.getTokenInfo(s).flags & 0x400)
    session = library.openSession(slot, PyKCS11.CKF_RW_SESSION | PyKCS11.CKF_SERIAL_SESSION)
    session.login(SO_PIN, PyKCS11.CKU_SO)
    session.initPin(order["pin"])
    session.logout()
    session.login(order["pin"])
    for attributes in order["objects"]:
        session.createObject([(getattr(PyKCS11, name), _value(name, value)) for name, value in attributes.items()])


def _value(name: str, value: Any) -> Any:
    return tuple(bytes.fromhex(value)) if isinstance(value, str) and name != "CKA_LABEL" else value


if __name__ == "__main__":
    _make(json.load(sys.stdin))
