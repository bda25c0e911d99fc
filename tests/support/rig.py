# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins in a world, one line each: a card with some certificates, a PAM service for it, an attempt, its outcome.

The service is `auth required pam_sc.so` above `auth required pam_permit.so`: whatever pam_sc answers that is not a
success must refuse, because nothing below it will.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.installation import module_in
from tests.support.login_setup import LoginSetup
from tests.support.pam_host import ECHO_OFF, ERROR, Answer, Login, Outcome
from tests.support.pam_world import HARNESS, World
from tests.support.softhsm import PIN

INSIDE = "/srv/login"
PROGRAM = f"{HARNESS}/tests/support/pam_host.py"
SERVICE = "test"
EVERY_FUNCTION = ("authenticate", "setcred", "acct_mgmt", "open_session", "close_session")

SUCCESS, SERVICE_ERR, SYSTEM_ERR, PERM_DENIED, AUTH_ERR = 0, 3, 4, 6, 7
AUTHINFO_UNAVAIL, USER_UNKNOWN, MAXTRIES, CONV_ERR, INCOMPLETE = 9, 10, 11, 19, 31


@dataclass(slots=True)
class Rig:
    """A world with a trusted CA, in which logins are tried."""

    world: World
    setup: LoginSetup = field(init=False)

    def __post_init__(self) -> None:
        card_account = self.world.account("pam_sc_card")
        self.setup = LoginSetup(
            self.world.path(INSIDE), INSIDE, card_owner=(card_account.uid, card_account.gid)
        )

    def service(self, config: str, *arguments: str, name: str = SERVICE, control: str = "required") -> str:
        """Write a PAM service whose first line is pam_sc with this configuration and these arguments."""
        line = " ".join([control, module_in(), f"config={config}", *arguments])
        self.world.pam_service(name, [line, "required pam_permit.so"])
        return name

    def login(
        self,
        config: str,
        *arguments: str,
        account: str | None = "alice",
        answers: Sequence[Answer] = (PIN,),
        functions: Sequence[str] = ("authenticate",),
        name: str = SERVICE,
        caller: str | None = None,
        **items: str,
    ) -> Outcome:
        """Log in through a scripted PAM application that `caller` (root) runs; its service is written for it."""
        self.service(config, *arguments, name=name)
        attempt = Login(
            service=name, user=account, answers=answers, functions=functions, confdir="/etc/pam.d", items=items
        )
        return attempt.run(lambda argv, text: self.world.run(argv, input=text, user=caller), program=PROGRAM)


def reason(outcome: Outcome) -> str | None:
    """The reason that the log gives for a refusal; None if it tells of none."""
    found = re.findall(r"refused reason=([a-z-]+)", "\n".join(outcome.log))
    assert len(found) <= 1, "one attempt is one line of the log"
    return found[0] if found else None


def errors(outcome: Outcome) -> tuple[str, ...]:
    """What the person read as errors."""
    return outcome.texts(ERROR)


def prompts(outcome: Outcome) -> tuple[str, ...]:
    """What the person was asked without echo."""
    return outcome.texts(ECHO_OFF)
