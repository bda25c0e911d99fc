# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a PKCS#11 module can do, asked directly: makes keys on a token, writes certificates, and tries its PIN's life.

A program of its own that runs in a world with pam_sc's interpreter, because a module keeps the environment it was started
with. An order comes as JSON on standard input, the answer goes to standard output. It shares no code with pam_sc.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import PyKCS11

_RW = PyKCS11.CKF_RW_SESSION | PyKCS11.CKF_SERIAL_SESSION
_P256 = bytes.fromhex("06082a8648ce3d030107")
_FLAGS = {"COUNT_LOW": 0x10000, "FINAL_TRY": 0x20000, "LOCKED": 0x40000}
_WRONG_TRIES = 4
_SUBJECT = bytes.fromhex("3000")


def _slot(library: Any, label: str | None) -> int:
    """The slot of the token with this label, or of the first one without a token that is set up."""
    for slot in library.getSlotList(tokenPresent=True):
        info = library.getTokenInfo(slot)
        initialized = bool(info.flags & PyKCS11.CKF_TOKEN_INITIALIZED)
        if info.label.strip().strip("\0") == label if label is not None else not initialized:
            return int(slot)
    raise SystemExit(f"no token {label!r}")


def _name(error: PyKCS11.PyKCS11Error) -> str:
    return str(PyKCS11.CKR.get(error.value, hex(error.value)))


def _try(call: Any, *arguments: Any) -> str:
    try:
        call(*arguments)
    except PyKCS11.PyKCS11Error as error:
        return _name(error)
    return "CKR_OK"


def initialize(library: Any, order: dict[str, Any]) -> None:
    """Set the first empty token up with this label, SO PIN and PIN."""
    slot = library.getSlotList(tokenPresent=True)[0] if order["label"] is None else _slot(library, None)
    library.initToken(slot, order["so_pin"], order["label"].ljust(32))


def set_pin(library: Any, order: dict[str, Any]) -> None:
    """Give the token its first PIN."""
    session = library.openSession(_slot(library, order["label"]), _RW)
    session.login(order["so_pin"], PyKCS11.CKU_SO)
    session.initPin(order["pin"])
    session.logout()


def make_key(library: Any, order: dict[str, Any]) -> dict[str, str]:
    """Make a key pair on the token and return the public key."""
    session = library.openSession(_slot(library, order["label"]), _RW)
    session.login(order["pin"])
    common = [(PyKCS11.CKA_TOKEN, True), (PyKCS11.CKA_ID, bytes([order["id"]])), (PyKCS11.CKA_LABEL, "login")]
    private = [*common, (PyKCS11.CKA_PRIVATE, True), (PyKCS11.CKA_SENSITIVE, True), (PyKCS11.CKA_SIGN, True)]
    if order["always_authenticate"]:
        private.append((PyKCS11.CKA_ALWAYS_AUTHENTICATE, True))
    public = [*common, (PyKCS11.CKA_VERIFY, True)]
    if order["kind"] == "rsa2048":
        public += [(PyKCS11.CKA_MODULUS_BITS, 2048), (PyKCS11.CKA_PUBLIC_EXPONENT, (1, 0, 1))]
        made, _key = session.generateKeyPair(public, private, mecha=PyKCS11.MechanismRSAGENERATEKEYPAIR)
        return {"modulus": bytes(session.getAttributeValue(made, [PyKCS11.CKA_MODULUS])[0]).hex()}
    public.append((PyKCS11.CKA_EC_PARAMS, tuple(_P256)))
    made, _key = session.generateKeyPair(public, private, mecha=PyKCS11.MechanismECGENERATEKEYPAIR)
    return {"point": bytes(session.getAttributeValue(made, [PyKCS11.CKA_EC_POINT])[0]).hex()}


def write_certificate(library: Any, order: dict[str, Any]) -> None:
    """Write a certificate beside its key."""
    session = library.openSession(_slot(library, order["label"]), _RW)
    session.login(order["pin"])
    session.createObject([
        (PyKCS11.CKA_CLASS, PyKCS11.CKO_CERTIFICATE), (PyKCS11.CKA_CERTIFICATE_TYPE, PyKCS11.CKC_X_509),
        (PyKCS11.CKA_TOKEN, True), (PyKCS11.CKA_PRIVATE, order["private"]),
        (PyKCS11.CKA_LABEL, f"login {order['id']}"),
        (PyKCS11.CKA_ID, bytes([order["id"]])), (PyKCS11.CKA_SUBJECT, bytes.fromhex(order["subject"])),
        (PyKCS11.CKA_ISSUER, bytes.fromhex(order["issuer"])), (PyKCS11.CKA_SERIAL_NUMBER, bytes.fromhex(order["serial"])),
        (PyKCS11.CKA_VALUE, bytes.fromhex(order["der"]))])


def certificates(library: Any, order: dict[str, Any]) -> int:
    """How many certificates are shown without a login."""
    session = library.openSession(_slot(library, order["label"]))
    return len(session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_CERTIFICATE)]))


def wrong_pins(library: Any, order: dict[str, Any]) -> list[list[str]]:
    """For each of some wrong PINs what it gives, and which flags the token shows afterwards; then for the right one."""
    slot, found = _slot(library, order["label"]), []
    for pin in [order["wrong"]] * _WRONG_TRIES + [order["pin"]]:
        session = library.openSession(slot)
        given = _try(session.login, pin)
        flags = library.getTokenInfo(slot).flags
        found.append([given, *(name for name, bit in _FLAGS.items() if flags & bit)])
        session.closeSession()
    return found


def change(library: Any, order: dict[str, Any]) -> str:
    """Change the PIN and change it back."""
    session = library.openSession(_slot(library, order["label"]), _RW)
    session.login(order["pin"])
    result = _try(session.setPin, order["pin"], order["new"])
    return result if result != "CKR_OK" else _try(session.setPin, order["new"], order["pin"])


def unblock(library: Any, order: dict[str, Any]) -> str:
    """Give the token a PIN again with the SO PIN."""
    session = library.openSession(_slot(library, order["label"]), _RW)
    result = _try(session.login, order["so_pin"], PyKCS11.CKU_SO)
    return result if result != "CKR_OK" else _try(session.initPin, order["pin"])


def slot_events(library: Any, order: dict[str, Any]) -> str:
    """What C_WaitForSlotEvent says without waiting, twice, because the first may be an old one."""
    return [_try(library.waitForSlotEvent, PyKCS11.CKF_DONT_BLOCK) for _ in range(2)][1]


def always_authenticate(library: Any, order: dict[str, Any]) -> str:
    """What signing with the key gives when nobody gives the PIN once more."""
    session = library.openSession(_slot(library, order["label"]), _RW)
    session.login(order["pin"])
    keys = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY), (PyKCS11.CKA_ID, bytes([order["id"]]))])
    mechanism = PyKCS11.Mechanism(getattr(PyKCS11, order["mechanism"]), None)
    return _try(session.sign, keys[0], bytes(32), mechanism)


def sign_without_login(library: Any, order: dict[str, Any]) -> str:
    """What signing with the key gives in a process that has not logged in: nothing to sign with, or a refusal."""
    session = library.openSession(_slot(library, order["label"]))
    keys = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY), (PyKCS11.CKA_ID, bytes([order["id"]]))])
    mechanism = PyKCS11.Mechanism(getattr(PyKCS11, order["mechanism"]), None)
    return _try(session.sign, keys[0], bytes(32), mechanism) if keys else "no key"


def main() -> None:
    """Carry out one order."""
    order = json.load(sys.stdin)
    library = PyKCS11.PyKCS11Lib()
    library.load(order["module"])
    json.dump(globals()[order["do"]](library, order), sys.stdout)


if __name__ == "__main__":
    main()
