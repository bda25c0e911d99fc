# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc explain`: the eleven steps of a login, from the very same `decide` and the very same gathering.

Its signature is made for the purpose "explain", so it can never be a login. Without --pin the card is only read.
"""

from __future__ import annotations

import click

from pam_sc.cli.machine import Machine
from pam_sc.cli.output import EXIT_CODES, print_json, print_rows, reporting
from pam_sc.cli.render import WIDTHS, exit_code, explain_json, explain_rows


@click.command(epilog=EXIT_CODES, short_help="Say step by step why a login works or not.")
@click.argument("user", required=False)
@click.option("--service", default="login", show_default=True, metavar="NAME", help="The PAM service that asks.")
@click.option("--pin", "with_pin", is_flag=True, help="Ask for the PIN and go to the end. A wrong one costs a try.")
@reporting
@click.pass_obj
def explain(
    machine: Machine, user: str | None, service: str, with_pin: bool, config_path: str | None, as_json: bool
) -> int:
    """Say step by step whether USER could log in with the card, and why not. Without USER, the card names the account.

    Run by root it is the login of a privileged program such as sudo; run by anybody else, that of a program with no
    privilege, such as a screen locker. Without --config, it uses the configuration that the service's stack names.
    """
    configuration = machine.load_configuration(config_path or machine.config_of_service(service), service)
    rehearsal = machine.rehearse(machine.request(user, service), configuration, with_pin=with_pin)
    if as_json:
        print_json(explain_json(rehearsal))
    else:
        print_rows(explain_rows(rehearsal), WIDTHS)
    return exit_code(rehearsal)
