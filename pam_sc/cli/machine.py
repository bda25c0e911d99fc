# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything a command touches beyond its own arguments, in one place, so that tests can put their own in.

The real one reads the configuration, starts the card process and runs PAM; commands only ask and print.
"""

from __future__ import annotations

import getpass
import os
import resource
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pam_sc.cli.inspection import Inspection
from pam_sc.cli.pam_stack import StackResult
from pam_sc.cli.steps import Rehearsal
from pam_sc.config.model import DEFAULT_PATH, Configuration
from pam_sc.decision.card_report import CardReport, Failure, TokenReport
from pam_sc.decision.request import AccountLookup, Purpose, Request
from pam_sc.errors import PamScError

if TYPE_CHECKING:  # a command that needs none of it does not load it
    from pam_sc.cli.checking import Checked
    from pam_sc.cli.pin_change import Choose
    from pam_sc.refresh.listing import Listing
    from pam_sc.refresh.model import Tell
    from pam_sc.refresh.plan import Selection
    from pam_sc.refresh.run import Progress
    from pam_sc.texts import Texts

PAM_FOLDER = "/etc/pam.d"


class Machine(Protocol):
    """What the commands ask of their machine."""

    def install_paths(self) -> Mapping[str, str]:
        """Where this installation is: module, worker, config and store."""

    def load_configuration(self, path: str | None, service: str | None = None) -> Configuration:
        """Return the configuration, for a service where one is named; PamScError if it is wrong."""

    def load_for_monitor(self, path: str | None, arguments: Sequence[str] = ()) -> Configuration:
        """The same for the monitor, which reads the files of the peer's event managers too, with their arguments."""

    def check(self, path: str | None) -> Checked:
        """Return everything there is to say about a configuration, what it names, and the PAM stacks."""

    def request(self, user: str | None, service: str) -> Request:
        """Return the request that an application of this caller would make."""

    def rehearse(self, request: Request, configuration: Configuration, *, with_pin: bool) -> Rehearsal:
        """Run a login for its explanation."""

    def inspect(self, configuration: Configuration, certificate: bytes | None = None) -> Inspection:
        """Read everything on every token and judge it, without a PIN; with `certificate` (DER), that one alone."""

    def look_up(self, account: str) -> AccountLookup:
        """Look an account up by its name."""

    def refresh(
        self, configuration: Configuration, selection: Selection, tell: Tell, progress: Progress
    ) -> tuple[str, ...]:
        """Bring the revocation store up to date; return what could not be used."""

    def list_store(self, folder: str) -> Listing:
        """Read everything in the revocation store."""

    def config_of_service(self, service: str) -> str | None:
        """Return the configuration that a service's stack names."""

    def ask_secret(self, prompt: str) -> str:
        """Ask for a PIN at the terminal."""

    def read_tokens(self, configuration: Configuration) -> CardReport:
        """Read every token, without a PIN."""

    def change_pin(self, configuration: Configuration, choose: Choose) -> Failure | None:
        """Change or unblock the PIN of the token that `choose` picks; return why it stayed as it was, or None."""

    def wrong_pins(self, configuration: Configuration, token: TokenReport) -> int | None:
        """Return how many wrong PINs are counted for a token on this machine; None where the caller cannot see that."""

    def forget_wrong_pins(self, configuration: Configuration, token: TokenReport | None) -> None:
        """Drop what is counted for a token, or for all."""

    def texts(self, configuration: Configuration) -> Texts:
        """Return what people read, in the language of the terminal."""

    def authenticate(self, user: str, service: str, secret: str) -> StackResult:
        """Run a service's PAM stack."""


class RealMachine:
    """This machine."""

    def __init__(self, pam_folder: str = PAM_FOLDER) -> None:
        self._pam_folder = pam_folder

    def install_paths(self) -> Mapping[str, str]:
        """Where this installation is: module, worker, config and store."""
        from pam_sc.paths import install_paths

        return install_paths()

    def load_configuration(self, path: str | None, service: str | None = None) -> Configuration:
        """Return the configuration, as a login of this caller would read it."""
        from pam_sc.config.loading import load

        return load(os.path.abspath(path) if path else DEFAULT_PATH, trusted_uids(), service=service)

    def load_for_monitor(self, path: str | None, arguments: Sequence[str] = ()) -> Configuration:
        """The same for the monitor, which reads the files of the peer's event managers too, with their arguments."""
        from pam_sc.config.eventmgr_file import load_for_monitor

        return load_for_monitor(os.path.abspath(path) if path else DEFAULT_PATH, trusted_uids(), arguments)

    def check(self, path: str | None) -> Checked:
        """Return everything there is to say about a configuration, what it names, and the PAM stacks."""
        from pam_sc.cli.checking import check_file

        return check_file(os.path.abspath(path) if path else DEFAULT_PATH, trusted_uids(), self._pam_folder)

    def request(self, user: str | None, service: str) -> Request:
        """Return the request of a program that runs with this caller's ids; root's is a privileged host."""
        real, effective, saved = os.getresuid()
        return Request(
            service=service, account=user or None, real_uid=real, effective_uid=effective, saved_uid=saved,
            purpose=Purpose.EXPLAIN,
        )  # fmt: skip

    def rehearse(self, request: Request, configuration: Configuration, *, with_pin: bool) -> Rehearsal:
        """Run a login for its explanation."""
        from pam_sc.cli.rehearsal import rehearse

        return rehearse(
            request, configuration, self.worker(), trusted_uids(), ask=self.ask_secret if with_pin else None
        )

    def inspect(self, configuration: Configuration, certificate: bytes | None = None) -> Inspection:
        """Read everything on every token and judge it, without a PIN; with `certificate` (DER), that one alone."""
        from pam_sc.cli.rehearsal import inspect_everything

        return inspect_everything(configuration, self.worker(), trusted_uids(), certificate)

    def look_up(self, account: str) -> AccountLookup:
        """Look an account up by its name."""
        from pam_sc.host import PwdAccounts

        return PwdAccounts().by_name(account)

    def refresh(
        self, configuration: Configuration, selection: Selection, tell: Tell, progress: Progress
    ) -> tuple[str, ...]:
        """Bring the revocation store up to date, as the root of a system or for a configuration of one's own."""
        from pam_sc.refresh.run import Run, refresh

        return refresh(Run(
            configuration=configuration, selection=selection, trusted_uids=trusted_uids(), worker=self.worker(),
            tell=tell, progress=progress,
        ))  # fmt: skip

    def list_store(self, folder: str) -> Listing:
        """Read everything in the revocation store."""
        from pam_sc.refresh.listing import list_store

        return list_store(folder, trusted_uids())

    def worker(self) -> str:
        """The path of pam_sc_worker."""
        return self.install_paths()["worker"]

    def config_of_service(self, service: str) -> str | None:
        """Return the configuration that a service's stack names; None for the default."""
        from pam_sc.config.lint_arguments import MODULE_NAME, configuration_of
        from pam_sc.config.stacks import Entry, read_stack

        stack = read_stack(self._pam_folder, os.path.basename(service))
        ours = (line for line in stack if isinstance(line, Entry) and line.basename == MODULE_NAME)
        return next((configuration_of(entry) for entry in ours if entry.type == "auth"), None)

    def ask_secret(self, prompt: str) -> str:
        """Ask for a PIN at the terminal, and nowhere that would show it; from then on this process leaves no core."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            try:
                return getpass.getpass(prompt)
            except (getpass.GetPassWarning, EOFError) as error:
                raise PamScError("cannot ask for a PIN: there is no terminal to type it at") from error
            except UnicodeError:  # whose text would show a piece of what was typed, and where
                raise PamScError("cannot take what was typed: it is no text in the encoding of this terminal") from None

    def read_tokens(self, configuration: Configuration) -> CardReport:
        """Read every token, without a PIN."""
        from pam_sc.cli.pin_change import read_tokens

        return read_tokens(configuration, self.worker())

    def change_pin(self, configuration: Configuration, choose: Choose) -> Failure | None:
        """Change or unblock the PIN of the token that `choose` picks; what is asked for is typed at the terminal."""
        from pam_sc.cli.output import print_line
        from pam_sc.cli.pin_change import change_pin

        return change_pin(configuration, self.worker(), choose, self.ask_secret, print_line)

    def wrong_pins(self, configuration: Configuration, token: TokenReport) -> int | None:
        """Return how many wrong PINs are counted for a token on this machine; None where the caller cannot see that."""
        from pam_sc.cli.pin_change import wrong_pins

        return wrong_pins(configuration, token)

    def forget_wrong_pins(self, configuration: Configuration, token: TokenReport | None) -> None:
        """Drop what is counted for a token, or for all."""
        from pam_sc.cli.pin_change import forget_wrong_pins

        forget_wrong_pins(configuration, token)

    def texts(self, configuration: Configuration) -> Texts:
        """Return what people read, in the language of the terminal."""
        from pam_sc.cli.pin_change import texts_of

        return texts_of(configuration)

    def authenticate(self, user: str, service: str, secret: str) -> StackResult:
        """Run a service's PAM stack."""
        from pam_sc.cli.pam_stack import authenticate

        return authenticate(user, service, secret)


def trusted_uids() -> frozenset[int]:
    """Who may own what a login of this caller reads."""
    return frozenset({0, os.getuid()})
