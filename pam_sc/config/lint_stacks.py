# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what is wrong with the PAM stacks that name pam_sc.so: arguments it refuses, and ways around a required card.

Only the auth stack decides whether a card can be enforced: pam_sc.so must be able to deny, and nothing after it may
grant what it refused. This module reads stacks through stacks.py and judges; it never writes one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.model import DEFAULT_PATH, Configuration
from pam_sc.config.stacks import Entry, Missing, read_stack

MODULE_NAME = "pam_sc.so"
FLAGS = frozenset({"debug", "quiet", "try_first_pass", "use_first_pass"})
TIMEOUT_MAX = 300
_CONFIG = ("config", "config_file")
_PEER_FLAGS = frozenset({"nodebug", "nullok", "card_only", "wait_for_card", "dont_wait_for_card"})
_PEER_VALUES = frozenset({
    "slot_description", "slot_num", "ca_dir", "crl_dir", "nss_dir", "cert_policy", "token_type", "pkcs11_module",
})  # fmt: skip
_SECONDS = re.compile(r"[1-9][0-9]{0,2}")
_ENFORCING = ("bad", "die")
_REFUSALS = ("auth_err", "user_unknown", "maxtries", "service_err", "system_err", "buf_err", "conv_err", "incomplete")
"""What pam_sc.so can return where a card is required; with PAM_AUTHINFO_UNAVAIL it then returns PAM_AUTH_ERR."""


def check_stack(service_file_dir: str, configuration: Configuration) -> tuple[Finding, ...]:
    """Return what there is to say about every service in the folder whose stack names pam_sc.so, each thing once."""
    try:
        services = sorted(entry.name for entry in os.scandir(service_file_dir) if entry.is_file())
    except OSError as error:
        return (Finding(Weight.WARNING, service_file_dir, f"the PAM services cannot be read: {error.strerror}"),)
    found = (finding for service in services for finding in _check_service(service_file_dir, service, configuration))
    return tuple(dict.fromkeys(found))


def _check_service(folder: str, service: str, configuration: Configuration) -> Iterator[Finding]:
    lines = list(read_stack(folder, service))
    entries = [line for line in lines if isinstance(line, Entry)]
    if not any(entry.basename == MODULE_NAME for entry in entries):
        return
    yield from (Finding(Weight.WARNING, line.where, line.why) for line in lines if isinstance(line, Missing))
    for entry in entries:
        if entry.basename == MODULE_NAME:
            yield from check_arguments(entry)
    auth = [entry for entry in entries if entry.type == "auth"]
    for at, entry in enumerate(auth):
        if entry.basename == MODULE_NAME:
            required = configuration.card_required and configuration_of(entry) == configuration.source
            yield from _check_enforcement(auth[:at], entry, auth[at + 1 :], required)


def configuration_of(entry: Entry) -> str:
    """Return the configuration that a line of ours names."""
    words = (word.partition("=") for word in entry.arguments)
    named = [value for name, equals, value in words if equals and name in _CONFIG]
    return named[-1] if named else DEFAULT_PATH


# ---------------------------------------------------------------- the arguments


def check_arguments(entry: Entry) -> Iterator[Finding]:
    """Yield every argument that pam_sc.so would refuse with PAM_SERVICE_ERR."""
    for word in entry.arguments:
        why = _why_refused(word)
        if why is not None:
            yield Finding(Weight.ERROR, entry.where, f"pam_sc.so refuses the argument {word[:80]!a}: {why}")
    if configuration_of(entry).endswith(".toml"):
        for word in entry.arguments:
            if _is_of_the_peer(word):
                yield Finding(Weight.ERROR, entry.where, f"the argument {word[:80]!a} belongs to pam_pkcs11.conf, but the"
                              f" configuration is {configuration_of(entry)}: every card is refused")
    if {"try_first_pass", "use_first_pass"} <= set(entry.arguments):
        yield Finding(Weight.ERROR, entry.where, "pam_sc.so refuses try_first_pass and use_first_pass together")


def _is_of_the_peer(word: str) -> bool:
    name, equals, _value = word.partition("=")
    return word in _PEER_FLAGS or (equals == "=" and name in _PEER_VALUES)


def _why_refused(word: str) -> str | None:
    name, equals, value = word.partition("=")
    if word in FLAGS:
        return None
    if _is_of_the_peer(word):
        return None
    if name in (*_CONFIG, "worker") and equals:
        return None if value.startswith("/") else "expected an absolute path"
    if name == "timeout" and equals:
        return None if _SECONDS.fullmatch(value) and int(value) <= TIMEOUT_MAX else "expected 1 to 300 seconds"
    known = ", ".join(sorted(FLAGS))
    return f"expected config=, worker=, timeout=, {known}, or an argument of pam_pkcs11"


# ---------------------------------------------------------------- can it enforce a card


def _check_enforcement(
    before: Sequence[Entry], entry: Entry, after: Sequence[Entry], required: bool
) -> Iterator[Finding]:
    weight = Weight.ERROR if required else Weight.NOTE
    later = _first_that_grants(after)
    let_through = [result for result in _REFUSALS if entry.action(result) not in _ENFORCING]
    if let_through and later is not None:
        yield Finding(
            weight,
            entry.where,
            f"{entry.control} cannot enforce a card: when pam_sc.so returns {let_through[0]}, {later.basename}"
            f" ({later.where}) can still grant{_demanded(required)}",
        )
    earlier = next((e for e in before if e.basename != "pam_rootok.so" and _ends_stack(e)), None)
    if required and earlier is not None:
        text = f"{earlier.basename} grants before pam_sc.so is asked{_demanded(required)}"
        yield Finding(Weight.ERROR, earlier.where, text)


def _demanded(required: bool) -> str:
    return ', but the configuration says card = "required"' if required else ""


def _first_that_grants(after: Sequence[Entry]) -> Entry | None:
    """The first later module whose success could be the stack's; a pam_deny.so that counts ends the search."""
    passing: Entry | None = None
    for entry in after:
        if entry.basename == "pam_deny.so":
            if entry.action("auth_err") in _ENFORCING:
                return None
        elif entry.basename == MODULE_NAME:
            continue
        elif _ends_stack(entry):
            return entry
        else:
            passing = passing or entry
    return passing


def _ends_stack(entry: Entry) -> bool:
    """Its success ends the stack, or jumps over what follows."""
    return entry.action("success") == "done" or entry.action("success").isdigit()
