# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc store`: what is in the revocation store. Reads, and changes nothing; any user may run it."""

from __future__ import annotations

import datetime

import click

from pam_sc.cli.machine import Machine
from pam_sc.cli.output import Row, print_json, print_rows, reporting
from pam_sc.cli.sources import WIDTHS, Values, listing_values, row_of

_EXIT_CODES = "Exit codes: 0 everything is sound and fresh; 1 something is stale, damaged or unsafe; 2 an error."


@click.command(epilog=_EXIT_CODES, short_help="List the CRLs and OCSP answers at hand.")
@reporting
@click.pass_obj
def store(machine: Machine, config_path: str | None, as_json: bool) -> int:
    """List the CRLs and OCSP answers that 'pam-sc refresh' has put into the store, and what is wrong with it."""
    listing = machine.list_store(machine.load_configuration(config_path).revocation.store)
    found = listing_values(listing, datetime.datetime.now(datetime.UTC))
    if as_json:
        print_json(found)
    else:
        print_rows(_rows(found), WIDTHS)
    sound = not found["problems"] and all(each["state"] == "fresh" for each in found["sources"])
    return 0 if sound else 1


def _rows(found: Values) -> list[Row]:
    rows = [row_of(each) for each in found["sources"]] or [Row(("empty", ""), found["folder"])]
    rows += [Row(("problem", ""), problem) for problem in found["problems"]]
    if found["requests"]:
        rows.append(Row(("requests", ""), f"{found['requests']} of logins: 'pam-sc refresh' fetches what they ask for"))
    return rows
