# SPDX-License-Identifier: LGPL-2.1-or-later
"""The schema of pam_sc.toml: every key there is, in one table. etc/pam_sc.toml documents each (a test compares them).

An option is added here, in model.py and in etc/pam_sc.toml, and nowhere else.
"""

from __future__ import annotations

from pam_sc.config import values
from pam_sc.config.schema import Key, ListOf, Table
from pam_sc.decision.policy import RevocationMode
from pam_sc.decision.uri import parse_token_uri

_MODES = tuple(mode.value for mode in RevocationMode)
_CARD = ("optional", "required")
_REMOTE = ("refuse", "allow")


def _words(words: tuple[str, ...]) -> Key:
    expected = " or ".join(f'"{word}"' for word in words) if len(words) == 2 else f"one of {', '.join(words)}"
    return Key(expected=expected, parse=values.choice(*words), choices=words)


def _path(expected: str, *, required: bool = False) -> Key:
    return Key(expected=f"the absolute path of {expected}", parse=values.absolute_path, required=required)


_BOOLEAN = Key(expected="true or false", parse=values.boolean)
_SERVICE = Key(expected="the name of a PAM service, in lower case", parse=values.service_name)

MODULE = Table(
    expected="a table: [[token.module]]",
    keys={
        "path": _path("a PKCS#11 module", required=True),
        "environment": Table(
            expected="a table of environment variables",
            others=Key(expected="a string", parse=values.text, silent=True),
            other_names=Key(
                expected="a variable that belongs to the PKCS#11 module",
                parse=values.variable_name,
            ),
        ),
        "allow": ListOf(
            item=Key(expected="the name of a system call", parse=values.system_call_name),
            expected="an array of names of system calls",
        ),
    },
)

TOKEN = Table(
    expected="a table: [token]",
    keys={
        "module": ListOf(item=MODULE, least=1, expected="at least one [[token.module]] with its path"),
        "select": Key(
            expected="a PKCS#11 URI (RFC 7512) such as pkcs11:token=login",
            parse=values.converted(parse_token_uri),
            silent=True,  # somebody may have written a PIN into it
        ),
        "run_as": Key(expected="the name of an account", parse=values.account_name),
    },
)

TRUST = Table(
    expected="a table: [trust]",
    keys={
        "anchors": _path("a file or folder of trust anchors", required=True),
        "intermediates": _path("a file or folder of certificates"),
    },
)

ACCOUNT = Table(
    expected="a table: [account]",
    keys={
        "allow_root": _BOOLEAN,
        "card_names_user": ListOf(item=_SERVICE, expected="an array of names of PAM services"),
        "services": ListOf(
            item=_SERVICE, least=1, optional=True, expected="an array of at least one name of a PAM service"
        ),
        "remote": _words(_REMOTE),
    },
)

MAPPER = Table(
    expected="a table: [[mapper]]",
    keys={"name": Key(expected="the name of a mapper", parse=values.text, required=True)},
    others=Key(expected="anything the mapper knows", parse=lambda value: value),
)

SCHEMA = Table(
    keys={
        "card": _words(_CARD),
        "token": TOKEN,
        "trust": TRUST,
        "revocation": Table(
            expected="a table: [revocation]",
            keys={"mode": _words(_MODES), "crls": _path("a file or folder of CRLs")},
        ),
        "account": ACCOUNT,
        "pin": Table(expected="a table: [pin]", keys={"allow_last_try": _BOOLEAN}),
        "mapper": ListOf(item=MAPPER, least=1, expected="at least one [[mapper]] with its name"),
    },
)
