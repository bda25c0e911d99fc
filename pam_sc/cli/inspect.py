# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc inspect`: what is on the card, and what would be accepted. Asks for no PIN."""

from __future__ import annotations

import click

from pam_sc.cli.inspection import any_accepted, inventory, inventory_rows
from pam_sc.cli.machine import Machine
from pam_sc.cli.output import EXIT_CODES, print_json, print_rows, reporting


@click.command(epilog=EXIT_CODES, short_help="Show what is on the cards, and what is accepted.")
@reporting
@click.pass_obj
def inspect(machine: Machine, config_path: str | None, as_json: bool) -> int:
    """Show modules, slots, tokens and certificates, and why each certificate would or would not be accepted."""
    found = inventory(machine.inspect(machine.load_configuration(config_path)))
    if as_json:
        print_json(found)
    else:
        print_rows(inventory_rows(found), (12,))
    return 0 if any_accepted(found) else 1
