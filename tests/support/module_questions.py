# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same questions to every PKCS#11 module, answered by trying; docs/modules.md is the answers, recorded and compared.

`ask_all` plays real logins and probes on one token; what locks the PIN comes last. `record` writes the answers down where
PAM_SC_RECORD is set; without it the tests compare.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.module_makers import WRONG, ModuleInWorld, ProbeError
from tests.support.pam_world import REPOSITORY
from tests.support.rig import SUCCESS, Rig, reason

ANSWERS = REPOSITORY / "tests/modules/answers.json"
PAGE = REPOSITORY / "docs/modules.md"
_MECHANISMS = {"rsa2048": "CKM_RSA_PKCS", "p256": "CKM_ECDSA"}
_KEYS = (("alice", 1, "rsa2048"), ("bob", 3, "p256"))
_ALWAYS = 2  # the number of the key that wants the PIN for each signature, as OpenSC numbers it on a PIV card
_ENDED_S = 2.0
_HEAD = """# PKCS#11 modules: what each can and cannot do

Produced by the tests, which ask each module the same questions through real logins and through PKCS#11 itself; do not edit.
`make check` asks the first three, `make check-modules` the others; both compare with what was recorded. The TPM is a
software TPM reached over the loopback interface, which is why its module needs `allow = ["socket"]`; a TPM of the machine
is a device and needs no entry. It also has no resource manager, as /dev/tpmrm0 of a machine is one: for a key that wants
the PIN for each signature it runs out of object contexts, and the login is refused. opencryptoki keeps such a key and does
not know the login that belongs to it.
"""
_TAIL = """
## What cannot be ended

The verification of a PIN ends with the process that gave it, except where a card keeps it for whoever reaches the reader
next. With OpenSC the card is reset when the card process is killed, before the verdict. A module of a vendor whose card
keeps the verification over C_Logout is reset through PC/SC where pyscard is installed and the slot is named like a reader;
where it is not, the card stays verified until it loses power. The modules above whose tokens are software or a TPM keep
nothing for other processes, as the row says.
"""


def ask_all(rig: Rig, module: ModuleInWorld, verified: Callable[[], bool] | None = None) -> dict[str, str]:
    """Ask everything. The token is empty; `verified` says whether a card in a reader is still PIN-verified."""
    made = {account: _add(rig, module, number, account, kind) for account, number, kind in _KEYS}
    answers = {"login with RSA-2048": made["alice"] or _login(rig, module, "alice"),
               "login with P-256": made["bob"] or _login(rig, module, "bob")}
    answers["verification ended after a login"] = _ended(module, verified)
    answers |= _always(rig, module, "rsa2048" if made["bob"] else "p256")
    answers["wrong PIN"] = _login(rig, module, "alice", WRONG)
    answers["slot events"] = {"CKR_FUNCTION_NOT_SUPPORTED": "no"}.get(said := module.ask("slot_events"), f"yes ({said})")
    answers["certificates hidden until login"] = _hidden(rig, module)
    answers["change of the PIN"] = _yes(module.ask("change"))
    tries = module.ask("wrong_pins")
    answers["PIN state shown"] = ", ".join(dict.fromkeys(flag for each in tries for flag in each[1:])) or "nothing"
    answers["wrong PINs until it locks"] = _until_locked(tries)
    answers["unblock with the SO PIN"] = _yes(module.ask("unblock"))
    answers["allow"] = ", ".join(f"`{name}`" for name in module.allow) or "nothing"
    return answers


def _add(rig: Rig, module: ModuleInWorld, number: int, account: str, kind: str, **more: bool) -> str:
    """Make a key with a certificate; "" or why there is none."""
    try:
        module.add(rig.setup.authority, number, kind, account=account, **more)
    except ProbeError as error:
        return f"no such key: {str(error).split()[1]}"
    return ""


def _login(rig: Rig, module: ModuleInWorld, account: str, pin: str | None = None) -> str:
    config = rig.setup.configure("module", module=module.path, environment=module.environment)
    text = rig.world.path(config).read_text()
    rig.world.put(config, text.replace("\nenvironment", f"\nallow = {json.dumps(list(module.allow))}\nenvironment", 1))
    outcome = rig.login(config, account=account, answers=[pin or module.pin])
    return "granted" if outcome.code == SUCCESS else f"refused: {reason(outcome)}"


def _always(rig: Rig, module: ModuleInWorld, kind: str) -> dict[str, str]:
    missing = _add(rig, module, _ALWAYS, "carol", kind, always_authenticate=True)
    if missing:
        return {"PIN for each signature enforced": missing, "login with such a key": missing}
    said = module.ask("always_authenticate", id=_ALWAYS, mechanism=_MECHANISMS[kind])
    return {"PIN for each signature enforced": "no" if said == "CKR_OK" else f"yes ({said})",
            "login with such a key": _login(rig, module, "carol")}


def _ended(module: ModuleInWorld, verified: Callable[[], bool] | None) -> str:
    if verified is None:
        said = module.ask("sign_without_login", id=1, mechanism=_MECHANISMS["rsa2048"])
        return "no" if said == "CKR_OK" else f"yes: another process gets {said}"
    deadline = time.monotonic() + _ENDED_S
    while verified() and time.monotonic() < deadline:
        time.sleep(0.005)
    return "no" if verified() else "yes: the card is reset"


def _hidden(rig: Rig, module: ModuleInWorld) -> str:
    try:
        before = module.ask("certificates")
        missing = _add(rig, module, 4, "carol", "rsa2048", private=True)
        return missing.replace("no such key", "cannot be made") or (
            "possible" if module.ask("certificates") == before else "no: shown all the same")
    except NotImplementedError:
        return "not on this card"


def _yes(said: str) -> str:
    return "yes" if said == "CKR_OK" else f"no ({said})"


def _until_locked(tries: list[list[str]]) -> str:
    right = tries[-1][0]
    if right == "CKR_OK":
        return f"never (tried {len(tries) - 1})"
    return str(next(number for number, each in enumerate(tries, 1) if each[0] == "CKR_PIN_LOCKED" or "LOCKED" in each))


def compare(name: str, version: str, answers: Mapping[str, str]) -> None:
    """Require that the answers are the recorded ones; where PAM_SC_RECORD is set, record them and write the page."""
    recorded = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {}
    if "PAM_SC_RECORD" in os.environ:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        recorded[name] = {"version": version, "date": today, "answers": dict(answers)}
        ANSWERS.write_text(json.dumps({each: recorded[each] for each in ORDER if each in recorded}, indent=1) + "\n")
        PAGE.write_text(page(recorded))
    assert dict(answers) == recorded[name]["answers"]


def page(recorded: Mapping[str, Mapping[str, object]]) -> str:
    """The table of all answers as a page."""
    names = [name for name in ORDER if name in recorded]
    rows = [["", *names], ["---"] * (len(names) + 1), ["version", *(str(recorded[name]["version"]) for name in names)],
            ["recorded", *(str(recorded[name]["date"]) for name in names)]]
    answers = {name: recorded[name]["answers"] for name in names}
    first: Mapping[str, str] = answers[names[0]]  # type: ignore[assignment]
    rows += [[question, *(answers[name][question] for name in names)] for question in first]  # type: ignore[index]
    return _HEAD + "\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n" + _TAIL


ORDER = ("OpenSC with a PIV card", "SoftHSM", "tpm2-pkcs11", "NSS through p11-kit", "opencryptoki")


def version_of(package: str) -> str:
    """The version of a Debian package that is installed here."""
    for paragraph in Path("/var/lib/dpkg/status").read_text(errors="replace").split("\n\n"):
        if paragraph.startswith(f"Package: {package}\n"):
            return next(line.split(": ", 1)[1] for line in paragraph.splitlines() if line.startswith("Version: "))
    return "unknown"
