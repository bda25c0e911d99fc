# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc`: the group of commands, and the one place that turns errors into a line on stderr and an exit code.

A command returns its exit code. No traceback reaches a terminal, and no character that a card or a file chose reaches
it uncleaned.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from pam_sc.cli.machine import Machine, RealMachine
from pam_sc.cli.output import EXIT_CODES, complain
from pam_sc.errors import PamScError

ERROR = 2
INTERNAL_ERROR = 70
INTERRUPTED = 130

COMMANDS = {
    "check-config": "pam_sc.cli.check_config:check_config",
    "enroll": "pam_sc.cli.enroll:enroll",
    "explain": "pam_sc.cli.explain:explain",
    "find-user": "pam_sc.cli.find_user:find_user",
    "inspect": "pam_sc.cli.inspect:inspect",
    "mappers": "pam_sc.cli.mappers:mappers",
    "migrate": "pam_sc.cli.migrate:migrate",
    "monitor": "pam_sc.cli.monitor:monitor",
    "paths": "pam_sc.cli.paths:paths",
    "pin": "pam_sc.cli.pin:pin",
    "refresh": "pam_sc.cli.refresh:refresh",
    "store": "pam_sc.cli.store:store",
    "try-login": "pam_sc.cli.try_login:try_login",
    "unenroll": "pam_sc.cli.enroll:unenroll",
    "verify": "pam_sc.cli.verify:verify",
}


class Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of --help."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.command(cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pam_sc", prog_name="pam-sc")
def cli() -> None:
    """Look at a smart card, enroll it, explain a login with it, check the configuration, fetch revocation data."""


def run(arguments: Sequence[str], machine: Machine) -> int:
    """Run one command and return its exit code; whatever goes wrong is one line on stderr."""
    try:
        result = cli.main(args=list(arguments), prog_name="pam-sc", standalone_mode=False, obj=machine)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ERROR
    except click.ClickException as error:
        complain(error.format_message())
        return ERROR
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except PamScError as error:
        complain(str(error))
        return ERROR
    except BrokenPipeError:
        _forget_stdout()
        return ERROR
    except Exception as error:  # noqa: BLE001 - the one place: no traceback reaches a person
        complain(f"internal error: {type(error).__name__}: {error}")
        return INTERNAL_ERROR
    return result if isinstance(result, int) else 0


def _forget_stdout() -> None:
    """Nobody reads any more: keep Python from saying so at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_what_is_closed() -> None:
    """A file or socket that is opened later must not become what is written to as standard output."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - until the end


def main() -> None:
    """Entry point of the script `pam-sc`."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    sys.exit(run(sys.argv[1:], RealMachine()))
