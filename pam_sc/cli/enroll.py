# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc enroll` and `pam-sc unenroll`: add the inserted card's certificate to a mapfile for an account, or take it out.

The card is only read: no PIN is asked for, and nothing on the card changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from pam_sc.cli.certificate_choice import Refusal, Selection, choose_one, find_certificates, subjects_of
from pam_sc.cli.enrolment import Enrolment, Outcome, Removal, find_mapper, require_account
from pam_sc.cli.machine import Machine, trusted_uids
from pam_sc.cli.output import complain, print_json, print_line, reporting
from pam_sc.config.model import Configuration
from pam_sc.decision.identity import read_subject
from pam_sc.mapfile_edit import resolve
from pam_sc.record import replace

EXIT_CODES = "Exit codes: 0 done; 1 refused, and nothing was changed; 2 an error; 70 a defect."


def _choosing(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options that say which mapper and which certificate is meant."""
    options = (
        click.option("--mapper", "mapper", metavar="NAME|INDEX",
                     help="The mapper whose mapfile is changed, by name or by its place from 0."
                     " [default: the first that has a mapfile]"),
        click.option("--certificate", "certificate", metavar="FILE", help="A certificate, PEM or DER, in place of the card's."),
        click.option("--id", "object_id", metavar="HEX", help="The certificate with this CKA_ID."),
        click.option("--label", "label", metavar="TEXT", help="The certificate with this label."),
        click.option("--position", "position", type=click.IntRange(min=1), metavar="N",
                     help="The certificate at this place, as the command lists them."),
        click.option("--dry-run", "dry_run", is_flag=True, help="Only say what would be done."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command(epilog=EXIT_CODES, short_help="Let the inserted card log in as an account.")
@click.argument("user")
@_choosing
@reporting
@click.pass_obj
def enroll(
    machine: Machine, /, user: str, dry_run: bool, config_path: str | None, as_json: bool, **chosen: Any
) -> int:  # fmt: skip
    """Add the certificate on the inserted card to the mapfile, for the account USER.

    It must be one that a login would trust: suitable, with a valid path, not revoked. If there are several, say which by
    --position, --id or --label. The mapfile is changed as a whole or not at all, and keeps everything else that it holds.
    """
    mapper, certificate, which = _split(chosen)

    def run(configuration: Configuration) -> Outcome:
        settings = find_mapper(configuration, mapper)
        require_account(machine.look_up(user), user, configuration.policy())
        _require_writable(settings.table["mapfile"], dry_run=dry_run)
        found = find_certificates(machine.inspect(configuration, _given(certificate)))
        chosen, others = choose_one(found, which)
        enrolment = Enrolment(
            settings=settings, subject=read_subject(chosen.report.der), account=user, trusted_uids=trusted_uids(),
            look_up=machine.look_up,
        )  # fmt: skip
        outcome = enrolment.run(dry_run=dry_run)
        return replace(outcome, notes=(f"with {chosen.text}", *outcome.notes, *others))

    return _report(run, machine, config_path, as_json=as_json)


@click.command(epilog=EXIT_CODES, short_help="Take the inserted card, or every card, from an account.")
@click.argument("user")
@click.option("--all", "everything", is_flag=True, help="Remove every line of USER. Needs no card.")
@_choosing
@reporting
@click.pass_obj
def unenroll(
    machine: Machine, /, user: str, everything: bool, dry_run: bool, config_path: str | None, as_json: bool, **chosen: Any
) -> int:  # fmt: skip
    """Remove from the mapfile the lines that map the certificates on the inserted card to USER.

    A pattern is never removed: the lines that still map are named. The certificate may be expired or revoked, and the
    account need not exist.
    """
    mapper, certificate, which = _split(chosen)
    if everything and (certificate or which != Selection()):
        raise click.UsageError("--all is about every certificate; name none")

    def run(configuration: Configuration) -> Outcome:
        settings = find_mapper(configuration, mapper)
        _require_writable(settings.table["mapfile"], dry_run=dry_run)
        subjects = None
        if not everything:
            found = find_certificates(machine.inspect(configuration, _given(certificate)))
            subjects = subjects_of(found, which)
        removal = Removal(settings=settings, subjects=subjects, account=user, trusted_uids=trusted_uids())
        return removal.run(dry_run=dry_run)

    return _report(run, machine, config_path, as_json=as_json)


def _split(chosen: Mapping[str, Any]) -> tuple[str | None, str | None, Selection]:
    """The values of `_choosing`'s options: the mapper, a certificate's file, and which certificate."""
    rest = {name: value for name, value in chosen.items() if name not in ("mapper", "certificate")}
    return chosen["mapper"], chosen["certificate"], Selection(**rest)


def _given(certificate: str | None) -> bytes | None:
    if certificate is None:
        return None
    from pam_sc.cli.given_files import read_leaf

    try:
        return read_leaf(certificate)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"cannot read {certificate!r}: {getattr(error, 'strerror', None) or error}") from error


def _require_writable(mapfile: str, *, dry_run: bool) -> None:
    """Say so before the card is read."""
    if not dry_run:
        resolve(mapfile, trusted_uids())


def _report(
    run: Callable[[Configuration], Outcome], machine: Machine, config_path: str | None, *, as_json: bool
) -> int:
    try:
        outcome = run(machine.load_configuration(config_path))
    except Refusal as refusal:
        if as_json:
            print_json({"done": False, "text": str(refusal), "notes": list(refusal.notes)})
            return 1
        for note in refusal.notes:
            print_line(note)
        complain(str(refusal))
        return 1
    if as_json:
        print_json({"done": True, "text": outcome.text, "notes": list(outcome.notes), "mapfile": outcome.mapfile,
                    "lines": list(outcome.lines)})  # fmt: skip
        return 0
    print_line(f"{outcome.text} in {outcome.mapfile}:")
    for line in outcome.lines:
        print_line(f"  {line}")
    for note in outcome.notes:
        print_line(note)
    return 0
