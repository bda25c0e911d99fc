# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc monitor`: lock the right session when its card is removed, and see that it is locked. And what it is doing.

The command decides what is watched and where its events are shown; all else is pam_sc.monitor's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pam_sc.cli.machine import Machine
from pam_sc.cli.monitor_report import status_rows, widths
from pam_sc.cli.output import print_json, print_rows, reporting
from pam_sc.config.model import Configuration

if TYPE_CHECKING:
    from pam_sc.monitor.telling import Teller
    from pam_sc.monitor.units import Options

_EXIT_CODES = (
    "Exit codes: 0 ended when it was told to; with --once, no card is gone, or every lock was seen; 1 with --once, a session "
    "could not be seen locked; else, a command failed and on_error is quit; 2 an error; 70 a defect."
)
_STATUS_EXIT_CODES = "Exit codes: 0 a monitor runs; 1 none runs, or it sees no card or no logind; 2 an error; 70 a defect."


@click.group(invoke_without_command=True, epilog=_EXIT_CODES, short_help="Lock sessions when their card is removed.")
@click.option("--all", "everything", is_flag=True, help="All sessions (the default for root and pam_sc_monitor).")
@click.option("--own", is_flag=True, help="Only the sessions of this account (the default for everybody else).")
@click.option("--once", is_flag=True, help="Look once, act on sessions whose card is gone, and end.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--argument", "arguments", multiple=True, metavar="WORD",
              help="With a pkcs11_eventmgr.conf or card_eventmgr.conf: an argument of that program; may be repeated.")
@reporting
@click.pass_context
def monitor(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: click.Context, everything: bool, own: bool, once: bool, dry_run: bool, arguments: Sequence[str],
    config_path: str | None, as_json: bool,
) -> int:
    """Watch the cards that opened sessions, and lock a session when its card is removed.

    Runs until SIGTERM; SIGHUP has it read the configuration again. Normally it is started by pam_sc-monitor.service, and
    in each session by the user unit of the same name. With --once it acts on every session whose card is gone now, also
    one that was acted on before. With --json, events are lines of JSON on standard output.
    """
    if ctx.invoked_subcommand is not None:
        _require_nothing_said(ctx)
        return 0
    if everything and own:
        raise click.UsageError("name one of --all and --own")
    from pam_sc.monitor.units import Options, default_everything

    options = Options(
        everything=everything or (not own and default_everything()), once=once, dry_run=dry_run,
        bus_address=os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or None,
    )  # fmt: skip
    machine: Machine = ctx.obj
    read = partial(machine.load_for_monitor, config_path, arguments)
    return asyncio.run(_watch(machine, options, read, as_json=as_json))


def _require_nothing_said(ctx: click.Context) -> None:
    """An option before the name of a command would be passed over."""
    for option in ctx.command.params:
        if ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} stands before {ctx.invoked_subcommand}, where it says nothing: see"
                                   f" pam-sc monitor {ctx.invoked_subcommand} --help for what may stand behind")  # fmt: skip


async def _watch(machine: Machine, options: Options, read: Callable[[], Configuration], *, as_json: bool) -> int:
    from pam_sc.monitor.notify import own_notifier
    from pam_sc.monitor.running import Monitor

    teller = _teller(read(), options, as_json=as_json)
    whole = Monitor(read, machine.install_paths()["worker"], options, teller, own_notifier())
    code = await whole.run()
    if options.once and whole.idle and not as_json:
        with contextlib.suppress(OSError):  # where nobody reads it, the exit code says the same
            click.echo("no session that was opened with a card is without it")
    return code


def _teller(configuration: Configuration, options: Options, *, as_json: bool) -> Teller:
    """Return the log; what is started by hand says the same on standard output."""
    from pam_sc.host import machine_id
    from pam_sc.journal import Journal
    from pam_sc.monitor.stream import EventStream, plain_line
    from pam_sc.monitor.telling import Outlets, Teller, facility_of, syslog_writer
    from pam_sc.monitor.units import side_of

    by_hand = options.once or options.dry_run or sys.stdout.isatty()
    stream = EventStream(1) if as_json else EventStream(1, plain_line) if by_hand else None
    facility = facility_of(side_of(options), os.geteuid())
    outlets = Outlets(write=syslog_writer(facility), facility=facility, journal=Journal(), stream=stream)
    personal = configuration.log.identity
    return Teller(outlets, machine_id=machine_id(), personal=personal, dry_run=options.dry_run)


@monitor.command(epilog=_STATUS_EXIT_CODES, short_help="Show sessions, cards, policy and the last action.")
@reporting
@click.pass_obj
def status(machine: Machine, config_path: str | None, as_json: bool) -> int:
    """Show the sessions that were opened with a card: the own ones, to root all.

    Asks the system unit, else the user unit. Where no monitor runs, it says so, and looks at the cards once.
    """
    from pam_sc.monitor.asking import find_status

    def read() -> Configuration:
        return machine.load_for_monitor(config_path)

    found = asyncio.run(find_status(read, machine.install_paths()["worker"]))
    if as_json:
        print_json(found)
    else:
        rows = status_rows(found)
        print_rows(rows, widths(rows))
    return 0 if found["unit"] != "none" and not found["trouble"] and found["logind"] else 1
