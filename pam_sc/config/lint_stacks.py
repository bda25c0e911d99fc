# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what is wrong with the PAM stacks that name pam_sc.so, or that should: ways around a card that is demanded, first of all.

Only the auth stack decides whether a card can be enforced: pam_sc.so must be able to deny, and nothing after it may
grant what it refused. This module reads stacks through stacks.py and judges; it never writes one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_arguments import MODULE_NAME, check_arguments, configuration_of
from pam_sc.config.stacks import Entry, Missing, read_stack
from pam_sc.config.toml import Read
from pam_sc.decision.policy import DEFAULT_PRIVILEGED_SERVICES, Members, Otherwise

_ENFORCING = ("bad", "die")
_REFUSALS = ("auth_err", "user_unknown", "maxtries", "service_err", "system_err", "buf_err", "conv_err", "incomplete")
"""What pam_sc.so can return where a card is required; with PAM_AUTHINFO_UNAVAIL it then returns PAM_AUTH_ERR."""
_LOGINS = DEFAULT_PRIVILEGED_SERVICES | {
    "login", "remote", "sshd", "gdm-password", "lightdm", "sddm", "lxdm", "xdm", "cockpit", "kde", "swaylock", "i3lock",
    "xscreensaver", "vlock",
}  # fmt: skip
"""Services through which people come in, of those that a machine may have."""
_SHOWS_LATE = frozenset({
    "sshd", "swaylock", "hyprlock", "gtklock", "waylock", "i3lock", "xlock", "physlock", "kde-smartcard", "kde-fingerprint",
})  # fmt: skip
"""Services whose application shows a text late or never, or must not be kept waiting."""
_MAKES_SESSIONS = ("pam_systemd.so", "pam_elogind.so")


def check_stack(service_file_dir: str, read: Read) -> tuple[Finding, ...]:
    """Return what there is to say about every service in the folder, each thing once."""
    try:
        services = sorted(entry.name for entry in os.scandir(service_file_dir) if entry.is_file())
    except OSError as error:
        return (Finding(Weight.WARNING, service_file_dir, f"the PAM services cannot be read: {error.strerror}"),)
    stacks = {service: list(read_stack(service_file_dir, service)) for service in services}
    ours = {service for service, lines in stacks.items() if any(_is_ours(line) for line in lines)}
    found = [each for service in sorted(ours) for each in _check_service(service, stacks[service], read)]
    return tuple(dict.fromkeys((*found, *_check_absence(service_file_dir, stacks, read))))


def _is_ours(line: Entry | Missing) -> bool:
    return isinstance(line, Entry) and line.basename == MODULE_NAME


def _check_service(service: str, lines: Sequence[Entry | Missing], read: Read) -> Iterator[Finding]:
    configuration = read.of(service)
    yield from (Finding(Weight.WARNING, line.where, line.why) for line in lines if isinstance(line, Missing))
    entries = [line for line in lines if isinstance(line, Entry)]
    for entry in entries:
        if _is_ours(entry):
            yield from check_arguments(entry)
    auth = [entry for entry in entries if entry.type == "auth"]
    for at, entry in enumerate(auth):
        if _is_ours(entry):
            same = configuration_of(entry) == configuration.source
            yield from _check_enforcement(auth, at, _Demand(service, read) if same else None)
            if same and configuration.wait_s and service in _SHOWS_LATE:
                yield Finding(Weight.WARNING, entry.where, f"{service} shows texts late or never, so that nobody knows that a"
                              f" card is waited for; write [service.{service}] wait = 0")
    yield from _check_other_types(service, entries, opens=service not in configuration.unlock.services)


# ---------------------------------------------------------------- is a card demanded


class _Demand:
    """Of whom a configuration demands a card in a service, and what a line must be to keep to it."""

    def __init__(self, service: str, read: Read) -> None:
        configuration = read.of(service)
        unlock, must = configuration.unlock, configuration.account.must_use
        ignores = unlock.same_card and unlock.otherwise is Otherwise.IGNORE and service in unlock.services
        self.refusals = (*_REFUSALS, "ignore") if ignores else _REFUSALS
        self.of = 'card = "required"' if configuration.card_required else _named(must)
        self.of += f" for {service}" if self.of and service in read.services else ""
        unavailable = "" if configuration.card_required else "authinfo_unavail=ignore "
        self.line = f"auth [success=done {unavailable}default=die] {MODULE_NAME}"

    def __bool__(self) -> bool:
        return bool(self.of)


def _named(members: Members) -> str:
    names = [*sorted(members.accounts), *(f"@{group}" for group in sorted(members.groups))]
    return f"must_use = [{', '.join(names)}]" if names else ""


def _check_absence(folder: str, stacks: dict[str, list[Entry | Missing]], read: Read) -> Iterator[Finding]:
    """Yield the services in which a card is demanded, but nobody asks for one."""
    without = {service for service, lines in stacks.items() if not any(_asks_for_a_card(line) for line in lines)}
    meant = {service for service in read.services if _Demand(service, read)}
    whole = _Demand("", read)
    if whole:
        meant |= (read.whole.account.services or frozenset()) - read.services.keys()
    for service in sorted(meant & (without | (meant - stacks.keys()))):
        demand = _Demand(service, read)
        why = "names no pam_sc.so for auth" if service in stacks else "does not exist, so libpam takes the stack of `other`"
        yield Finding(Weight.ERROR, os.path.join(folder, service),
                      f"{why}, but the configuration says {demand.of}; write there: {demand.line}")
    others = sorted((without & _LOGINS) - meant - read.services.keys()) if whole else []
    if others and read.whole.account.services is None:
        yield Finding(Weight.WARNING, folder, f"the configuration says {whole.of}, but no card is asked for in"
                      f" {', '.join(others)}: their stacks name no pam_sc.so")


def _asks_for_a_card(line: Entry | Missing) -> bool:
    return isinstance(line, Entry) and line.basename == MODULE_NAME and line.type == "auth"


# ---------------------------------------------------------------- can it enforce a card


def _check_enforcement(auth: Sequence[Entry], at: int, demand: _Demand | None) -> Iterator[Finding]:
    entry, later = auth[at], _first_that_grants(auth[at + 1 :])
    demanded = demand is not None and bool(demand)
    refusals = demand.refusals if demand is not None else _REFUSALS
    let_through = [result for result in refusals if entry.action(result) not in _ENFORCING]
    if let_through and later is not None:
        instead = f"; write: {' '.join((demand.line, *entry.arguments))}" if demand else ""
        yield Finding(
            Weight.ERROR if demanded else Weight.NOTE,
            entry.where,
            f"{entry.control} cannot enforce a card: when pam_sc.so returns {let_through[0]}, {later.basename}"
            f" ({later.where}) can still grant{_demanded(demand)}{instead}",
        )
    before = enumerate(auth[:at])
    earlier = next((e for n, e in before if e.basename != "pam_rootok.so" and _passes_over(e, at - n)), None)
    if demanded and earlier is not None:
        text = f"{earlier.basename} grants before pam_sc.so is asked{_demanded(demand)}; move it below pam_sc.so, or remove it"
        yield Finding(Weight.ERROR, earlier.where, text)


def _demanded(demand: _Demand | None) -> str:
    return f", but the configuration says {demand.of}" if demand else ""


def _first_that_grants(after: Sequence[Entry]) -> Entry | None:
    """The first later module whose success could be the stack's; a pam_deny.so that counts ends the search."""
    passing: Entry | None = None
    for entry in after:
        if entry.basename == "pam_deny.so":
            if entry.action("auth_err") in _ENFORCING:
                return None
        elif entry.basename == MODULE_NAME:
            continue
        elif _passes_over(entry, 1):
            return entry
        else:
            passing = passing or entry
    return passing


def _passes_over(entry: Entry, distance: int) -> bool:
    """Its success ends the stack, or jumps over the entry that stands `distance` further down."""
    action = entry.action("success")
    return action == "done" or (action.isdigit() and int(action) >= distance)


# ---------------------------------------------------------------- account and session


def _check_other_types(service: str, entries: Sequence[Entry], *, opens: bool) -> Iterator[Finding]:
    ours = [entry for entry in entries if entry.basename == MODULE_NAME]
    auth = next((entry for entry in ours if entry.type == "auth"), None)
    if opens and auth is not None and not any(entry.type == "account" for entry in ours):
        yield Finding(Weight.NOTE, auth.where, f"{service} has no line `account required pam_sc.so`, so that nobody is made to"
                      " change a PIN of which the card says that it must be changed")
    session = [entry for entry in entries if entry.type == "session"]
    makers = [at for at, entry in enumerate(session) if entry.basename in _MAKES_SESSIONS]
    for at, entry in enumerate(session):
        if entry.basename == MODULE_NAME and any(maker > at for maker in makers):
            maker = session[makers[-1]]
            yield Finding(Weight.WARNING, entry.where, f"stands before {maker.basename} ({maker.where}), so that the card of a"
                          " session is not recorded; move it below that line")
        elif entry.basename == MODULE_NAME and not makers:
            yield Finding(Weight.NOTE, entry.where, "records no card: no line of this stack makes a session (pam_systemd.so)")
