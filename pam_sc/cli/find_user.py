# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc find-user`: the account that the inserted card names, on one line. Asks for no PIN.

It is a login of a privileged program that gave no user name, run up to the PIN: what that would refuse is refused here.
"""

from __future__ import annotations

import click

from pam_sc.cli.machine import Machine
from pam_sc.cli.output import complain, print_json, print_line, reporting
from pam_sc.cli.render import verdict_json
from pam_sc.decision.reasons import Reason, Step
from pam_sc.decision.verdict import Denied, Needs, Verdict
from pam_sc.record import replace

EXIT_CODES = (
    "Exit codes: 0 found; 1 no account, or refused (two accounts never pick one); 2 an error of the configuration or"
    " the PKCS#11 module; 3 no card, or no certificate on it; 70 a defect."
)

NOTHING_THERE = frozenset({
    Reason.NO_READER, Reason.NO_CARD, Reason.TOKEN_NOT_SELECTED, Reason.NO_CERTIFICATE, Reason.CERTIFICATE_NOT_SELECTED,
    Reason.OTHER_CARD_THAN_LOGIN, Reason.WAIT_CANCELLED,
})  # fmt: skip
ERRORS = frozenset({
    Reason.CONFIGURATION_UNUSABLE, Reason.ISOLATION_FAILED, Reason.INTERNAL_ERROR, Reason.OUT_OF_MEMORY,
    Reason.SERVICE_NOT_ALLOWED, Reason.ACCOUNT_NOT_NAMED, Reason.CARD_SERVICE_DOWN, Reason.MODULE_UNUSABLE,
    Reason.TOKEN_HIDDEN, Reason.TOKEN_UNREADABLE, Reason.CARD_PROCESS_LOST, Reason.CARD_TIMEOUT, Reason.MAPPER_FAILED,
    Reason.ACCOUNT_LOOKUP_FAILED, Reason.NO_CARD_LOGIN,
})  # fmt: skip
"""What says nothing about the card's owner."""


@click.command("find-user", epilog=EXIT_CODES, short_help="Print the account that the inserted card names.")
@click.option("--service", default="login", show_default=True, metavar="NAME",
              help="The PAM service; one in which the card may name the account.")  # fmt: skip
@reporting
@click.pass_obj
def find_user(machine: Machine, service: str, config_path: str | None, as_json: bool) -> int:
    """Print the account that the inserted card names, on one line, and nothing else. No PIN is asked for.

    A card that maps to two accounts names none. `pam-sc explain` says more about a refusal. Without --config, it uses the
    configuration that the service's stack names.
    """
    configuration = machine.load_configuration(config_path or machine.config_of_service(service), service)
    asked = replace(machine.request(None, service), real_uid=0, effective_uid=0, saved_uid=0)
    rehearsal = machine.rehearse(asked, configuration, with_pin=False)
    verdict = rehearsal.verdict
    code = _exit_code(verdict)
    if as_json:
        print_json({"account": verdict.account if isinstance(verdict, Needs) and not code else None,
                    **({} if not code else verdict_json(rehearsal))})  # fmt: skip
    elif isinstance(verdict, Needs) and verdict.account is not None and not code:
        print_line(verdict.account)
    else:
        complain(_why(verdict))
    return code


def _exit_code(verdict: Verdict) -> int:
    if isinstance(verdict, Needs) and verdict.step >= Step.CANDIDATES and verdict.account:
        return 0
    if not isinstance(verdict, Denied):
        return 1 if isinstance(verdict, Needs) and verdict.accounts else 2
    if verdict.reason in NOTHING_THERE:
        return 3
    return 2 if verdict.reason in ERRORS else 1


def _why(verdict: Verdict) -> str:
    if isinstance(verdict, Denied):
        return verdict.reason.value + (f": {verdict.detail}" if verdict.detail else "")
    if isinstance(verdict, Needs) and verdict.accounts:
        return f"{Reason.MAPPED_TO_SEVERAL.value}: {len(verdict.accounts)} accounts; a login would ask which one"
    return "the login stopped before an account was found"
