# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc paths`: where the parts of this installation are. Reads no configuration and no other file."""

from __future__ import annotations

import click

from pam_sc.cli.machine import Machine
from pam_sc.cli.output import EXIT_CODES, print_json, print_line, reporting


@click.command(epilog=EXIT_CODES, short_help="Print where everything lies.")
@reporting
@click.pass_obj
def paths(machine: Machine, config_path: str | None, as_json: bool) -> int:
    """Print where the PAM module, the worker, the configuration and the revocation store are, one name=path a line.

    Reads no configuration; with --config, that path is printed as it is given.
    """
    named = dict(machine.install_paths())
    if config_path:
        named["config"] = config_path
    if as_json:
        print_json(named)
        return 0
    for name, path in named.items():
        print_line(f"{name}={path}")
    return 0
