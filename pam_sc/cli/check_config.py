# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc check-config`: is the configuration valid, can everything it names be read, can the PAM stacks enforce it."""

from __future__ import annotations

from collections.abc import Iterable

import click

from pam_sc.cli.machine import Machine
from pam_sc.cli.output import EXIT_CODES, Row, print_json, print_rows, reporting
from pam_sc.config.finding import Finding, Weight
from pam_sc.errors import PamScError

WIDTHS = (9,)


@click.command(epilog=EXIT_CODES, short_help="Check the configuration and the PAM stacks.")
@click.argument("file", required=False)
@reporting
@click.pass_obj
def check_config(machine: Machine, file: str | None, config_path: str | None, as_json: bool) -> int:
    """Check the configuration FILE, what it names, and every PAM stack that names pam_sc.so."""
    if file and config_path and file != config_path:
        raise click.UsageError("two configuration files are named: FILE and --config")
    try:
        findings = machine.check(file or config_path)
    except PamScError as error:
        if not as_json:
            raise
        findings = (Finding(Weight.ERROR, "configuration", str(error)),)
    if as_json:
        print_json({"findings": [_as_json(finding) for finding in findings], "verdict": _worst(findings)})
    else:
        print_rows([_row(finding) for finding in findings] or [Row(("clean",))], WIDTHS)
    return {"error": 2, "warning": 1}.get(_worst(findings), 0)


def _row(finding: Finding) -> Row:
    return Row((finding.severity.value,), f"{finding.where}: {finding.text}")


def _as_json(finding: Finding) -> dict[str, str]:
    return {"severity": finding.severity.value, "where": finding.where, "text": finding.text}


def _worst(findings: Iterable[Finding]) -> str:
    weights = {finding.severity for finding in findings}
    for weight in (Weight.ERROR, Weight.WARNING, Weight.NOTE):
        if weight in weights:
            return str(weight.value)
    return "clean"
