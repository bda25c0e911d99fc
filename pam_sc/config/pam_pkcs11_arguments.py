# SPDX-License-Identifier: LGPL-2.1-or-later
"""The arguments of pam_pkcs11's PAM line, which come before what its file says. A closed list: any other is an error.

`debug`, `quiet`, `try_first_pass` and `use_first_pass` change nothing here: they hold whatever the configuration is, so they
have a place of their own in the request. `config_file` named the file before anything was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pam_sc.config.notes import NoteKind
from pam_sc.config.pam_pkcs11_section import Notes, join_policies, shown
from pam_sc.config.scconf import Item
from pam_sc.record import record

_FLAGS: Mapping[str, tuple[str, str]] = {
    "nodebug": ("debug", "false"),
    "nullok": ("nullok", "true"),
    "card_only": ("card_only", "true"),
    "wait_for_card": ("wait_for_card", "true"),
    "dont_wait_for_card": ("wait_for_card", "false"),
}
_VALUES: Mapping[str, str] = {
    "slot_description": "slot_description",
    "slot_num": "slot_num",
    "ca_dir": "ca_dir",
    "crl_dir": "crl_dir",
    "nss_dir": "nss_dir",
    "cert_policy": "cert_policy",
    "token_type": "token_type",
    "pkcs11_module": "module",
}
_STAY = ("debug", "quiet", "try_first_pass", "use_first_pass")
_BETWEEN_POLICIES = str.maketrans(";:+| ", ",,,,,")

LINES: Mapping[str, str] = {
    "nodebug": "nothing: debug is off unless the PAM line says it",
    "nullok": "nothing: an empty PIN is never sent to a card",
    "card_only": 'card = "required" or card = "optional"',
    "wait_for_card": "wait = 170",
    "dont_wait_for_card": "nothing: without wait no card is waited for",
    "slot_description": '[token] select = { slot_description_prefix = "..." }',
    "slot_num": "[token] select = { slot_number = ... }",
    "ca_dir": '[trust] anchors = "..."',
    "crl_dir": '[revocation] crls = "..."',
    "nss_dir": "nothing: NSS databases are not read",
    "cert_policy": "[revocation] mode, fetch and ocsp",
    "token_type": '[prompt] token_type = "..."',
    "pkcs11_module": '[[token.module]] path = "..."',
}
"""What to write into a pam_sc.toml instead of each argument."""


@record
class Given:
    """What the PAM line says, as items of line 0: of the whole, and of the module that is used."""

    globals: Mapping[str, Item]
    module: Mapping[str, Item]


def read_arguments(arguments: Sequence[str], notes: Notes) -> Given:
    """Return the arguments as items; the last of a kind holds, but the words of cert_policy add up.

    An ERROR note for one that is none of pam_pkcs11's.
    """
    whole: dict[str, Item] = {}
    module: dict[str, Item] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals and name in _FLAGS:
            key, word = _FLAGS[name]
            whole[key] = Item(key=key, values=(word,), line=0)
        elif equals and name in _VALUES and not value:
            notes.add(NoteKind.ERROR, 0, _VALUES[name], f"{shown(argument)} has no value")
        elif equals and name in _VALUES:
            values = _values(name, value)
            if name in module and name == "cert_policy":
                values = join_policies(module[name].values, values)
            module[_VALUES[name]] = Item(key=_VALUES[name], values=values, line=0)
        elif argument in _STAY:
            notes.add(NoteKind.DIFFERENT, 0, name, "stays on the PAM line: pam_sc.so takes it there too")
        elif equals and name == "config_file":
            notes.add(NoteKind.DEAD, 0, name, "named the old file")
        else:
            notes.add(NoteKind.ERROR, 0, name, f"{shown(argument)} is no argument of pam_pkcs11")
    return Given(whole, module)


def _values(name: str, value: str) -> tuple[str, ...]:
    if name != "cert_policy":
        return (value,)
    return tuple(word for word in value.translate(_BETWEEN_POLICIES).split(",") if word)


def line_instead(argument: str) -> str:
    """Say what to write into a pam_sc.toml instead of this argument."""
    name = argument.partition("=")[0]
    return LINES.get(name, "nothing")
