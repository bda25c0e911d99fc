# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc try-login`: run the real PAM stack of a service, with the PIN sent once, and explain what came of it."""

from __future__ import annotations

import click

from pam_sc.cli.machine import Machine
from pam_sc.cli.output import EXIT_CODES, complain, print_json, print_line, print_rows, reporting
from pam_sc.cli.pam_stack import CODE_NAMES, StackResult
from pam_sc.cli.render import WIDTHS, explain_json, explain_rows
from pam_sc.cli.steps import Rehearsal
from pam_sc.errors import PamScError

LIMITS = (
    "The PIN is asked for first and sent once, to the first hidden prompt; every further prompt fails."
    " Choices between cards and PINs typed on a reader's keypad cannot be rehearsed this way."
)
LOG_HINT = "the reason is in the system log: journalctl --facility authpriv, or /var/log/auth.log; look for 'pam_sc('"


@click.command(epilog=EXIT_CODES, short_help="Run the PAM stack of a service.")
@click.argument("user")
@click.option("--service", required=True, metavar="NAME", help="The PAM service whose stack is run.")
@reporting
@click.pass_obj
def try_login(machine: Machine, user: str, service: str, config_path: str | None, as_json: bool) -> int:
    """Run the PAM stack of a service for USER, as the program itself would, and explain the result.

    Nothing is opened or changed: authentication and the account check are run, no session. Without --config, the
    explanation uses the configuration that the service's stack names.
    """
    if not as_json:
        print_line(LIMITS)
    result = machine.authenticate(user, service, machine.ask_secret(f"PIN for {user}: "))
    explained = _explain(machine, user, service, config_path)
    if as_json:
        print_json(_as_json(result, explained))
    else:
        _print(result, explained)
    return 0 if result.code == 0 else 1


def _explain(machine: Machine, user: str, service: str, config_path: str | None) -> Rehearsal | PamScError:
    """Run the same login once more, without a PIN, for its explanation; its failure is one as well."""
    try:
        configuration = machine.load_configuration(config_path or machine.config_of_service(service), service)
        return machine.rehearse(machine.request(user, service), configuration, with_pin=False)
    except PamScError as error:
        return error


def _print(result: StackResult, explained: Rehearsal | PamScError) -> None:
    for text in result.messages:
        print_line(f"the stack said: {text}")
    print_line(f"the stack returned {result.code} PAM_{CODE_NAMES.get(result.code, '?')}: {result.text}")
    if result.refused_prompts:
        print_line(f"{result.refused_prompts} further prompts were not answered")
    if result.code != 0:
        print_line(LOG_HINT)
    if isinstance(explained, Rehearsal):
        print_line("")
        print_line("The same login once more, without a PIN:")
        print_rows(explain_rows(explained), WIDTHS)
    else:
        complain(f"cannot explain it: {explained}")


def _as_json(result: StackResult, explained: Rehearsal | PamScError) -> dict[str, object]:
    return {
        "code": result.code,
        "name": f"PAM_{CODE_NAMES.get(result.code, '?')}",
        "text": result.text,
        "messages": list(result.messages),
        "refused_prompts": result.refused_prompts,
        "limits": LIMITS,
        "explanation": explain_json(explained) if isinstance(explained, Rehearsal) else {"error": str(explained)},
    }
