# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logs in with software cards through libpam and the built pam_sc.so, and shows what everybody sees.

Everything lies in .demo/ (or, where this clone lies in a folder that others can write, in a folder under /tmp). As
root the account is alice, in a private mount namespace with accounts of its own; as an ordinary user it is that user,
and nothing private is needed. No account, PAM file or service of the machine is touched. Ends with 0 only if every
login ended as it should.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY))  # for `tests`; last, so that pam_sc itself is the installed one

from tests.support import pam_host  # noqa: E402
from tests.support.installation import PREFIX, installed_for, is_trusted_by, module_in, own_folder, worker_in  # noqa: E402
from tests.support.login_setup import LoginSetup  # noqa: E402
from tests.support.pam_host import Login, Outcome, Runner  # noqa: E402
from tests.support.pki import DAY, CertificateAuthority, Issued, now  # noqa: E402
from tests.support.softhsm import PIN  # noqa: E402

WRONG_PIN = "999999"
YESTERDAY = f"{now() - DAY:%Y-%m-%d}"
CODES = {0: "PAM_SUCCESS", 3: "PAM_SERVICE_ERR", 4: "PAM_SYSTEM_ERR", 5: "PAM_BUF_ERR", 7: "PAM_AUTH_ERR",
         9: "PAM_AUTHINFO_UNAVAIL", 10: "PAM_USER_UNKNOWN", 11: "PAM_MAXTRIES", 19: "PAM_CONV_ERR"}


@dataclass(frozen=True, slots=True)
class Case:
    """One login: the card, the PIN that is typed, how it must end, and of what the person must read a part."""

    title: str
    card: str
    pin: str
    code: int
    reason: str
    read: str = ""


CASES = (
    Case("the right PIN, a card with an RSA key", "rsa", PIN, 0, "granted"),
    Case("the right PIN, a card with an elliptic-curve key", "ec", PIN, 0, "granted"),
    Case("a wrong PIN", "rsa", WRONG_PIN, 7, "pin-wrong-few-left", "few tries are left"),
    Case("the right PIN after a wrong one", "rsa", PIN, 0, "granted", "few tries are left"),
    Case("the right PIN, but the certificate has expired", "expired", PIN, 7, "certificate-expired", YESTERDAY),
    Case("the right PIN, and the certificate expires soon", "expiring", PIN, 0, "granted", "expires on"),
    Case("the right PIN, but the certificate is revoked", "revoked", PIN, 7, "certificate-revoked"),
    Case("the right PIN, but another CA of the same name made the certificate", "foreign", PIN, 7, "untrusted"),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: the account, the folder and its name for logins, and how an application is run."""

    account: str
    folder: Path
    inside: str
    prefix: str
    card_owner: tuple[int, int] | None
    runner: Runner | None
    program: str
    confdir: Path


def main() -> int:
    """Play every case; the exit status says whether all ended as they should."""
    os.umask(0o022)  # whatever the caller's: logins read the files of a case under accounts of their own
    with (root_stage if os.geteuid() == 0 else user_stage)() as stage:
        make_cards(stage)
        print(f"{bold('pam_sc demo')}: {len(CASES)} logins of {stage.account!r} through libpam, "
              f"each with a card of its own\n  module {module_in(stage.prefix)}\n  cards  {stage.folder}\n")
        good = sum([play(number, case, stage) for number, case in enumerate(CASES, 1)])
    print(f"{good} of {len(CASES)} logins ended as they should.")
    return 0 if good == len(CASES) else 1


@contextmanager
def root_stage() -> Iterator[Stage]:
    """Alice in a world of her own."""
    from tests.support.pam_world import HARNESS, World
    folder = fresh_folder(0)
    with World.create(folder / "world") as world:
        card = world.account("pam_sc_card")
        yield Stage("alice", world.path("/srv/cards"), "/srv/cards", PREFIX, (card.uid, card.gid),
                    lambda argv, text: world.run(argv, input=text), f"{HARNESS}/tests/support/pam_host.py",
                    world.path("/etc/pam.d/demo").parent)


@contextmanager
def user_stage() -> Iterator[Stage]:
    """The user who runs this, on the machine as it is."""
    uid = os.geteuid()
    folder = fresh_folder(uid)
    (folder / "pam.d").mkdir()
    (folder / "pam.d" / "other").write_text("auth required pam_deny.so\n")
    yield Stage(pwd.getpwuid(uid).pw_name, folder / "cards", str(folder / "cards"), str(installed_for(uid)), None, None,
                pam_host.__file__, folder / "pam.d")


def fresh_folder(uid: int) -> Path:
    """An empty .demo, or a folder elsewhere if pam_sc would not believe files in this clone."""
    folder = REPOSITORY / ".demo"
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists() or not os.access(REPOSITORY, os.W_OK) or not (uid == 0 or is_trusted_by(uid, REPOSITORY)):
        return own_folder("demo")
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def make_cards(stage: Stage) -> None:
    """One CA with a CRL, one foreign CA, and a PAM service with a card of its own for each kind of card."""
    setup = LoginSetup(stage.folder, stage.inside, stage.card_owner)
    name = stage.account
    cards = {
        "rsa": setup.authority.issue(common_name=name, key="rsa2048"),
        "ec": setup.authority.issue(common_name=name, key="p256"),
        "expired": setup.authority.issue(common_name=name, key="p256", not_after=now() - DAY),
        "expiring": setup.authority.issue(common_name=name, key="p256", not_after=now() + 7 * DAY),
        "revoked": setup.authority.issue(common_name=name, key="p256"),
        "foreign": foreign_authority(setup).issue(common_name=name, key="p256"),
    }
    setup.revoke(cards["revoked"])
    for kind, issued in cards.items():
        write_service(stage, kind, make_card(setup, kind, issued))


def foreign_authority(setup: LoginSetup) -> CertificateAuthority:
    """A CA that nobody here trusts, with the very name of the one that is trusted."""
    return CertificateAuthority(setup.authority.name)


def make_card(setup: LoginSetup, kind: str, issued: Issued) -> str:
    """A software card with one certificate and its key; returns the configuration that uses it."""
    return setup.card(kind, [issued])


def write_service(stage: Stage, kind: str, configuration: str) -> None:
    """The PAM service demo-KIND: pam_sc.so and nothing else."""
    line = f"auth required {module_in(stage.prefix)} config={configuration} worker={worker_in(stage.prefix)}\n"
    (stage.confdir / f"demo-{kind}").write_text(line)


def play(number: int, case: Case, stage: Stage) -> bool:
    """Log in once, show it, and say whether it ended as it should."""
    confdir = "/etc/pam.d" if stage.runner else str(stage.confdir)
    login = Login(service=f"demo-{case.card}", user=stage.account, answers=[case.pin], confdir=confdir)
    try:
        outcome = login.run(stage.runner, program=stage.program)
    except pam_host.HostDiedError as error:
        print(f"{number}  {case.title}\n   the PAM application died: {error}\n")
        return False
    said = "\n".join(said.text for said in outcome.said)
    good = (outcome.code, reason_of(outcome)) == (case.code, case.reason) and case.read in said
    show(number, case, outcome, good)
    return good


def reason_of(outcome: Outcome) -> str:
    """The reason as the log names it, or "granted"."""
    text = " ".join(outcome.log)
    found = re.search(r"\brefused reason=([a-z-]+)", text)
    return found[1] if found else "granted" if re.search(r"\bgranted\b", text) else "not logged"


def show(number: int, case: Case, outcome: Outcome, good: bool) -> None:
    """What the person sees, the result, and the log."""
    marks: dict[int, Callable[[str], str]] = {pam_host.ECHO_OFF: lambda text: f"{text}{'*' * len(case.pin)}"}
    print(f"{bold(str(number))}  {bold(case.title)}")
    seen = [marks.get(said.style, str)(said.text) for said in outcome.said] or ["nothing: no PIN was asked for"]
    rows = [*(("person", line) for line in seen), ("reason", reason_of(outcome)),
            ("result", f"{CODES.get(outcome.code, '?')} ({outcome.code}) after {outcome.seconds * 1000:.0f} ms"),
            *(("log", line) for line in outcome.log)]
    last = ""
    for label, text in rows:
        print(f"   {'' if label == last else label:7}{text}")
        last = label
    if not good:
        print(f"   {bold('WRONG')}: expected {case.reason}, {CODES[case.code]} ({case.code}) and a text with {case.read!r}")
    print()


def bold(text: str) -> str:
    """Text that stands out on a terminal."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


if __name__ == "__main__":
    sys.exit(main())
