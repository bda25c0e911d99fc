# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc pin`: the life of a PIN. What is asked for is typed at the terminal, and comes from nowhere else."""

from __future__ import annotations

import click

from pam_sc.cli.machine import Machine
from pam_sc.cli.output import complain, print_json, print_line, print_rows, reporting
from pam_sc.cli.pin_report import TokenPin, status_json, status_rows, token_json, uri_of, usable
from pam_sc.config.model import Configuration
from pam_sc.decision.card_report import CardReport, Failure, TokenReport
from pam_sc.decision.change import is_locked, why_not_changed
from pam_sc.decision.policy import TokenSelector
from pam_sc.decision.reasons import REASONS, Reason
from pam_sc.decision.tokens import select_tokens
from pam_sc.decision.uri import parse_token_uri
from pam_sc.decision.verdict import Denied
from pam_sc.errors import ConfigError, PamScError
from pam_sc.record import replace
from pam_sc.texts import Text, Texts

EXIT_CODES = (
    "Exit codes: 0 done, or every PIN can be tried; 1 refused and nothing was changed, no token, or a PIN that cannot be"
    " tried; 2 an error; 70 a defect."
)
ACTIONS = ("status", "change", "unblock", "forget")


class NotChanged(PamScError):
    """Nothing was done, for a reason of the table."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"cannot change the PIN: {failure.reason.value}")
        self.failure = failure


@click.command("pin", epilog=EXIT_CODES, short_help="Show, change or unblock the PIN of a card.")
@click.argument("action", type=click.Choice(ACTIONS))
@click.option("--token", "uri", metavar="URI", help="Which token, as a PKCS#11 URI: pkcs11:token=LABEL;serial=NUMBER.")
@reporting
@click.pass_obj
def pin(machine: Machine, action: str, uri: str | None, config_path: str | None, as_json: bool) -> int:
    """Show the state of PINs, or change one, at the terminal. Nobody is logged in by it.

    status lists the tokens that are there, and costs no try. change asks for the current PIN, the new one and the new one
    again; unblock asks for the PUK in place of the current PIN, and only where the PIN is locked. Without --token it is the
    one token that is there.

    forget (as root) drops the wrong PINs that were counted on this machine for tokens that show no counter of their own:
    of the token that --token names, else of all.
    """
    configuration = _selecting(machine.load_configuration(config_path), uri)
    try:
        if action == "status":
            return _status(machine, configuration, as_json)
        if action == "forget":
            return _forget(machine, configuration, uri, as_json)
        return _change(machine, configuration, action, as_json)
    except NotChanged as error:
        return _refused(error.failure, machine.texts(configuration), action, as_json)


def _selecting(configuration: Configuration, uri: str | None) -> Configuration:
    """The configuration with the token of --token in place of [token] select."""
    if uri is None:
        return configuration
    return replace(configuration, token=replace(configuration.token, select=_selector(uri)))


def _selector(uri: str) -> TokenSelector:
    try:
        return parse_token_uri(uri)
    except ConfigError as error:
        raise ConfigError(str(error).replace("[token] select", "--token")) from error


# ---------------------------------------------------------------- status and forget


def _status(machine: Machine, configuration: Configuration, as_json: bool) -> int:
    tokens = _tokens(machine.read_tokens(configuration), configuration)
    pins = [TokenPin(token, machine.wrong_pins(configuration, token)) for token in tokens]
    if as_json:
        print_json(status_json(pins, configuration.pin))
    else:
        print_rows(status_rows(pins, configuration.pin), (10,))
    return 0 if all(usable(each, configuration.pin) for each in pins) else 1


def _forget(machine: Machine, configuration: Configuration, uri: str | None, as_json: bool) -> int:
    token = None if uri is None else _one(_tokens(machine.read_tokens(configuration), configuration))
    machine.forget_wrong_pins(configuration, token)
    if as_json:
        print_json({"action": "forget", "done": True, "token": None if token is None else token_json(token)})
    else:
        print_line(f"the wrong PINs counted for {'all tokens' if token is None else token.label} are forgotten")
    return 0


# ---------------------------------------------------------------- change and unblock


def _change(machine: Machine, configuration: Configuration, action: str, as_json: bool) -> int:
    chosen: list[TokenReport] = []

    def choose(report: CardReport) -> TokenReport:
        token = _one(_tokens(report, configuration))
        _require(_why_not(token, configuration, action))
        chosen.append(token)
        return token

    _require(machine.change_pin(configuration, choose))
    if as_json:
        print_json({"action": action, "done": True, "token": token_json(chosen[0])})
    else:
        print_line(machine.texts(configuration).say(Text.PIN_UNBLOCKED if action == "unblock" else Text.PIN_CHANGED))
    return 0


def _require(nothing: Failure | None) -> None:
    if nothing is not None:
        raise NotChanged(nothing)


def _why_not(token: TokenReport, configuration: Configuration, action: str) -> Failure | None:
    if action == "unblock" and not is_locked(token):
        return Failure(Reason.PIN_CHANGE_FAILED, "the PIN is not locked; change it with: pam-sc pin change")
    if action == "change" and is_locked(token):
        return Failure(Reason.PIN_LOCKED, "unblock it with the PUK: pam-sc pin unblock")
    return why_not_changed(token, configuration.policy())


def _refused(failure: Failure, texts: Texts, action: str, as_json: bool) -> int:
    if as_json:
        hint = REASONS[failure.reason].hint
        reason = {"reason": failure.reason.value, "detail": failure.detail, "hint": hint}
        print_json({"action": action, "done": False, **reason})
    else:
        said = texts.say(failure.reason) or failure.reason.value
        complain(f"{said}: {failure.detail}" if failure.detail else said)
    return 1


# ---------------------------------------------------------------- which token


def _tokens(report: CardReport, configuration: Configuration) -> list[TokenReport]:
    """The tokens that are meant and can be read; NotChanged where there is none."""
    found = select_tokens(report, configuration.policy())
    if isinstance(found, Denied):
        raise NotChanged(Failure(found.reason, found.detail))
    readable = [token for token in found if token.failure is None]
    if not readable:
        failure = found[0].failure
        raise NotChanged(failure or Failure(Reason.TOKEN_UNREADABLE, "no token can be read"))
    return readable


def _one(tokens: list[TokenReport]) -> TokenReport:
    if len(tokens) > 1:
        named = ", ".join(uri_of(token) for token in tokens)
        raise PamScError(f"cannot choose between {len(tokens)} tokens: name one with --token: {named}")
    return tokens[0]
