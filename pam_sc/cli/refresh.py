# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc refresh`: fetch CRLs and OCSP answers, verify them, and put them where logins find them."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from pam_sc.cli.inspection import Inspection
from pam_sc.cli.machine import Machine
from pam_sc.cli.output import complain, print_json, print_rows, reporting
from pam_sc.cli.sources import WIDTHS, report_values, row_of, size_text
from pam_sc.config.model import Configuration
from pam_sc.decision.evidence import ValidPath
from pam_sc.errors import PamScError, TrustError
from pam_sc.refresh.model import SourceReport, State
from pam_sc.refresh.plan import Selection
from pam_sc.trust.files import CERTIFICATES, values_of

_EXIT_CODES = (
    "Exit codes: 0 all sources are fresh; 1 some are stale or failed, and what was at hand stays; 2 an error: the store "
    "or the configuration does not allow it."
)
_CERTIFICATE_BYTES_MAX = 1 << 20

Progress = Callable[[int, int, int], None]


@click.command(epilog=_EXIT_CODES, short_help="Fetch CRLs and OCSP answers for logins.")
@click.option("--all", "everything", is_flag=True, help="All sources (the default).")
@click.option("--ca", metavar="NAME", help="Only what concerns this [[revocation.ca]].")
@click.option("--cert", metavar="FILE", help="Only what this certificate and its issuers name.")
@click.option("--from-card", is_flag=True, help="Only what the certificates on the card and their issuers name.")
@reporting
@click.pass_obj
def refresh(  # noqa: PLR0913 - one for each option
    machine: Machine, everything: bool, ca: str | None, cert: str | None, from_card: bool,
    config_path: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Fetch CRLs and OCSP answers into the revocation store, so that logins need no network.

    Sources are those that the configuration, the CAs and the cards used at this machine name. Run it by
    pam_sc-refresh.timer, or by hand after a login said that revocation data was never fetched.
    """
    if sum((everything, ca is not None, cert is not None, from_card)) > 1:
        raise click.UsageError("name one of --all, --ca, --cert and --from-card")
    configuration = machine.load_configuration(config_path)
    selection = Selection(ca=ca, leaves=_leaves(machine, configuration, cert, from_card=from_card))
    reports: list[SourceReport] = []
    with _progress(sys.stderr.isatty() and not as_json) as show:
        problems = machine.refresh(configuration, selection, reports.append, show)
    _print(reports, problems, as_json=as_json)
    if any(report.broken for report in reports):
        return 2
    return 0 if all(report.state in (State.FRESH, State.UNCHANGED) for report in reports) else 1


def _print(reports: list[SourceReport], problems: tuple[str, ...], *, as_json: bool) -> None:
    at = datetime.datetime.now(datetime.UTC)
    values = [report_values(report, at) for report in reports]
    if as_json:
        print_json({"sources": values, "problems": list(problems)})
        return
    print_rows([row_of(each) for each in values], WIDTHS)
    for problem in problems:
        complain(problem)
    if not values:
        complain("nothing to fetch: neither the configuration nor a CA names a source, and no login has asked for one")


def _leaves(
    machine: Machine, configuration: Configuration, cert: str | None, *, from_card: bool
) -> tuple[tuple[bytes, tuple[bytes, ...]], ...] | None:
    if cert is not None:
        first, *others = _certificates_in(cert)
        return ((first, tuple(others)),)
    return tuple(_on_card(machine.inspect(configuration))) if from_card else None


def _certificates_in(path: str) -> tuple[bytes, ...]:
    """Return the certificate of a file and what follows it; it is only asked about, so anybody may own the file."""
    try:
        with open(os.path.abspath(path), "rb") as file:
            return values_of(file.read(_CERTIFICATE_BYTES_MAX), CERTIFICATES)
    except OSError as error:
        raise PamScError(f"cannot read {path!r}: {error.strerror}") from error
    except ValueError as error:
        raise TrustError(f"cannot use {path!r}: expected a certificate: {error}") from error


def _on_card(inspection: Inspection) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
    found = inspection.rehearsal.evidence.certificates.values()
    paths = [known.path.certificates for known in found if isinstance(known.path, ValidPath)]
    if not paths:
        raise PamScError("cannot refresh for the card: no certificate on it has a valid path; see pam-sc inspect")
    for path in paths:
        yield path[0], path[1:]


@contextmanager
def _progress(wanted: bool) -> Iterator[Progress]:
    """Show a bar on a terminal while things are fetched, and nothing elsewhere."""
    if not wanted:
        yield lambda _done, _of, _bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("fetching"), BarColumn(), TextColumn("{task.completed}/{task.total} {task.fields[came]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, came="")
        yield lambda done, of, came: bar.update(task, completed=done, total=of, came=size_text(came) if came else "")
