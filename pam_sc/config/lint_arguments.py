# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what is wrong with the arguments of a PAM line that names pam_sc.so: those it refuses, and one that gives away a PIN."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.model import DEFAULT_PATH
from pam_sc.config.stacks import Entry

MODULE_NAME = "pam_sc.so"
FLAGS = frozenset({"debug", "quiet", "try_first_pass", "use_first_pass", "forward_pin", "nodelay"})
TIMEOUT_MAX = 300
_CONFIG = ("config", "config_file")
_PEER_FLAGS = frozenset({"nodebug", "nullok", "card_only", "wait_for_card", "dont_wait_for_card"})
_PEER_VALUES = frozenset({
    "slot_description", "slot_num", "ca_dir", "crl_dir", "nss_dir", "cert_policy", "token_type", "pkcs11_module",
})  # fmt: skip
_SECONDS = re.compile(r"[1-9][0-9]{0,2}")


def configuration_of(entry: Entry) -> str:
    """Return the configuration that a line of ours names."""
    words = (word.partition("=") for word in entry.arguments)
    named = [value for name, equals, value in words if equals and name in _CONFIG]
    return named[-1] if named else DEFAULT_PATH


def check_arguments(entry: Entry) -> Iterator[Finding]:
    """Yield every argument that pam_sc.so would refuse with PAM_SERVICE_ERR, and those to think about."""
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
    if "forward_pin" in entry.arguments:
        yield Finding(Weight.WARNING, entry.where, "forward_pin gives the PIN to every module below this line, some of which"
                      " send or store a password")


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
