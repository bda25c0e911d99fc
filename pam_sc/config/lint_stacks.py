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
from pam_sc.config.stack_walk import Line, Step, find_way
from pam_sc.config.stacks import Entry, Missing, Substack, read_stack
from pam_sc.config.toml import Read
from pam_sc.decision.policy import DEFAULT_PRIVILEGED_SERVICES, Members, Otherwise

_REFUSALS = ("auth_err", "user_unknown", "maxtries", "service_err", "system_err", "buf_err", "conv_err", "incomplete")
"""What pam_sc.so can return where a card is required: PAM_AUTH_ERR in place of PAM_AUTHINFO_UNAVAIL, and of some accounts
alone also in place of PAM_USER_UNKNOWN."""
_UNCHANGED = ("authtok_recovery_err", "authtok_err", "maxtries", "service_err", "system_err", "buf_err", "conv_err")
"""What pam_sc.so can return from libpam's second pass when the PIN is as it was."""
_PASSWORD_LINE = (
    f"password [success=done new_authtok_reqd=done try_again=ignore ignore=ignore default=die] {MODULE_NAME}"
)
_NEVER_GRANTS = {"pam_deny.so": "auth_err", "pam_rootok.so": "auth_err", "pam_faildelay.so": "ignore"}
"""Modules with one result; pam_rootok.so is one of them because root can become anybody without it as well."""
_LOGINS = DEFAULT_PRIVILEGED_SERVICES | {
    "login", "remote", "sshd", "gdm-password", "lightdm", "sddm", "lxdm", "xdm", "cockpit", "kde", "swaylock", "i3lock",
    "xscreensaver", "vlock",
}  # fmt: skip
"""Services through which people come in, of those that a machine may have."""
_SHOWS_LATE = frozenset({
    "sshd", "swaylock", "hyprlock", "gtklock", "waylock", "i3lock", "xlock", "physlock", "kde-smartcard", "kde-fingerprint",
})  # fmt: skip
"""Services whose application shows a text late or never, or must not be kept waiting."""
_BEGINS_AGAIN = frozenset({"gdm-smartcard"})
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


def _is_ours(line: Entry | Substack | Missing) -> bool:
    return isinstance(line, Entry) and line.basename == MODULE_NAME


def _check_service(service: str, lines: Sequence[Entry | Substack | Missing], read: Read) -> Iterator[Finding]:
    configuration = read.of(service)
    yield from (Finding(Weight.WARNING, line.where, line.why) for line in lines if isinstance(line, Missing))
    entries = [line for line in lines if isinstance(line, Entry)]
    for entry in entries:
        if _is_ours(entry):
            yield from check_arguments(entry)
    auth = [line for line in lines if not isinstance(line, Missing) and line.type == "auth"]
    for entry in entries:
        if entry.type == "auth" and _is_ours(entry):
            same = configuration_of(entry) == configuration.source
            yield from _check_enforcement(auth, entry, _Demand(service, read) if same else None)
            if same and configuration.wait_s and service in _SHOWS_LATE:
                yield Finding(Weight.WARNING, entry.where, f"{service} shows texts late or never, so that nobody knows that a"
                              f" card is waited for; write [service.{service}] wait = 0")
            if same and service in _BEGINS_AGAIN and not configuration.prompt.holds(service):
                yield Finding(Weight.WARNING, entry.where, f"{service} begins a refused login again at once, for as long as the"
                              f" card is in the reader; write [service.{service}.prompt] hold = true")
    yield from _check_change([entry for entry in entries if entry.type == "password"])
    yield from _check_other_types(service, entries, opens=service not in configuration.unlock.services)


# ---------------------------------------------------------------- is a card demanded


class _Demand:
    """Of whom a configuration demands a card in a service, and what a line must be to keep to it."""

    def __init__(self, service: str, read: Read) -> None:
        configuration = read.of(service)
        unlock, must = configuration.unlock, configuration.account.must_use
        ignores = unlock.same_card and unlock.otherwise is Otherwise.IGNORE and service in unlock.services
        of_all = configuration.card_required
        refusals = _REFUSALS if of_all else tuple(each for each in _REFUSALS if each != "user_unknown")
        self.refusals = (*refusals, "ignore") if ignores else refusals
        self.of = 'card = "required"' if configuration.card_required else _named(must)
        self.of += f" for {service}" if self.of and service in read.services else ""
        unavailable = "" if of_all else "authinfo_unavail=ignore user_unknown=ignore "
        self.line = f"auth [success=done {unavailable}default=die] {MODULE_NAME}"

    def __bool__(self) -> bool:
        return bool(self.of)


def _named(members: Members) -> str:
    names = [*sorted(members.accounts), *(f"@{group}" for group in sorted(members.groups))]
    return f"must_use = [{', '.join(names)}]" if names else ""


def _check_absence(folder: str, stacks: dict[str, list[Entry | Substack | Missing]], read: Read) -> Iterator[Finding]:
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
    for service in sorted(read.services.keys() - stacks.keys() - meant):
        yield Finding(Weight.NOTE, os.path.join(folder, service), f"does not exist, so [service.{service}] counts for nothing"
                      " unless some program calls itself that")
    others = sorted((without & _LOGINS) - meant - read.services.keys()) if whole else []
    if others and read.whole.account.services is None:
        yield Finding(Weight.WARNING, folder, f"the configuration says {whole.of}, but no card is asked for in"
                      f" {', '.join(others)}: their stacks name no pam_sc.so")


def _asks_for_a_card(line: Entry | Substack | Missing) -> bool:
    return isinstance(line, Entry) and line.basename == MODULE_NAME and line.type == "auth"


# ---------------------------------------------------------------- can it enforce a card


def _check_enforcement(auth: Sequence[Line], entry: Entry, demand: _Demand | None) -> Iterator[Finding]:
    """Look for ways through the stack on which no pam_sc.so grants: one that this line refuses, one that passes it over."""
    weight = Weight.ERROR if demand else Weight.NOTE
    refusals = demand.refusals if demand is not None else _REFUSALS
    past = next((way for each in refusals if (way := _find_past(auth, entry, each, refusals)) is not None), None)
    if past is not None:
        refused = next(step for step in past if step.entry is entry)
        grants = _that_grants(past, refused)
        instead = f"; write: {' '.join((demand.line, *entry.arguments))}" if demand else ""
        yield Finding(weight, entry.where, f"{entry.control} cannot enforce a card: when pam_sc.so returns {refused.result},"
                      f" {grants.basename} ({grants.where}) can still grant{_demanded(demand)}{instead}")
    around = find_way(auth, lambda each: _results(each, refusals), lambda way: not any(_is_ours(each.entry) for each in way))
    if demand and around is not None:
        yield _passed_over(around, auth.index(entry), demand)


def _find_past(auth: Sequence[Line], entry: Entry, refusal: str, refusals: Sequence[str]) -> tuple[Step, ...] | None:
    """Find a way on which this line returns this refusal, and the stack PAM_SUCCESS."""
    return find_way(
        auth,
        lambda each: (refusal,) if each is entry else _results(each, refusals),
        lambda way: any(each.entry is entry for each in way),
    )


def _results(entry: Entry, refusals: Sequence[str]) -> Sequence[str]:
    """What a module may return, without what a stack is judged for here: that a card, or being root, is enough."""
    if _is_ours(entry):
        return refusals
    if entry.basename in _NEVER_GRANTS:
        return (_NEVER_GRANTS[entry.basename],)
    return tuple(dict.fromkeys(("success", *(each for each in entry.results if each != "default"), "auth_err")))


def _that_grants(way: Sequence[Step], refused: Step) -> Entry:
    """The module to name: the first below that counts, else one above."""
    counts = [each for each in way if each.entry.action(each.result) != "ignore" and not _is_ours(each.entry)]
    return next((each.entry for each in counts if each.at > refused.at), counts[0].entry)


def _passed_over(way: Sequence[Step], at: int, demand: _Demand) -> Finding:
    over = next((each for each in way if each.at < at < each.to), way[-1])
    name, said = over.entry.basename, _demanded(demand)
    if over.result == "success":
        text = f"{name} grants before pam_sc.so is asked{said}; move it below pam_sc.so, or remove it"
    else:
        text = f"when {name} returns {over.result}, pam_sc.so is not asked, and the stack can still grant{said}"
    return Finding(Weight.ERROR, over.entry.where, text)


def _demanded(demand: _Demand | None) -> str:
    return f", but the configuration says {demand.of}" if demand else ""


# ---------------------------------------------------------------- changing a PIN


def _check_change(password: Sequence[Entry]) -> Iterator[Finding]:
    """Find a line that ends libpam's first pass, in which old passwords are asked for, but not always the second."""
    for at, entry in enumerate(password):
        later = next((each for each in password[at + 1 :] if each.basename not in (MODULE_NAME, "pam_deny.so")), None)
        goes_on = [result for result in _UNCHANGED if entry.action(result) != "die"]
        if _is_ours(entry) and later is not None and goes_on and _passes_over(entry):
            yield Finding(Weight.ERROR, entry.where, f"{entry.control}: when pam_sc.so returns {goes_on[0]},"
                          f" {later.basename} ({later.where}) takes a new password without the old one; write:"
                          f" {' '.join((_PASSWORD_LINE, *entry.arguments))}")


def _passes_over(entry: Entry) -> bool:
    action = entry.action("success")
    return action == "done" or action.isdigit()


# ---------------------------------------------------------------- account and session


def _check_other_types(service: str, entries: Sequence[Entry], *, opens: bool) -> Iterator[Finding]:
    ours = [entry for entry in entries if entry.basename == MODULE_NAME]
    auth = next((entry for entry in ours if entry.type == "auth"), None)
    if opens and auth is not None and not any(entry.type == "account" for entry in ours):
        yield Finding(Weight.NOTE, auth.where, f"{service} has no line `account required pam_sc.so`, so that nobody is made to"
                      " change a PIN of which the card says that it must be changed")
    yield from _check_account([entry for entry in entries if entry.type == "account"])
    session = [entry for entry in entries if entry.type == "session"]
    makers = [at for at, entry in enumerate(session) if entry.basename in _MAKES_SESSIONS]
    for at, entry in enumerate(session):
        if entry.basename == MODULE_NAME and any(maker > at for maker in makers):
            maker = session[makers[-1]]
            yield Finding(Weight.WARNING, entry.where, f"stands before {maker.basename} ({maker.where}), so that the card of a"
                          " session is not recorded; move it below that line")
        elif entry.basename == MODULE_NAME and not makers:
            yield Finding(Weight.NOTE, entry.where, "records no card: no line of this stack makes a session (pam_systemd.so)")


def _check_account(account: Sequence[Entry]) -> Iterator[Finding]:
    """Find a line whose success, which only says that a card was there, ends the look at the account itself."""
    for at, entry in enumerate(account):
        later = next((each for each in account[at + 1 :] if not _is_ours(each) and each.level >= entry.level), None)
        if _is_ours(entry) and later is not None and _passes_over(entry):
            yield Finding(Weight.ERROR, entry.where, f"{entry.control}: after a login with a card {later.basename}"
                          f" ({later.where}) is not asked whether the account may be used at all; write: account required"
                          f" {MODULE_NAME}")
