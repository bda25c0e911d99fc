# SPDX-License-Identifier: LGPL-2.1-or-later
"""The schema of pam_sc.toml: every key there is, in one table. etc/pam_sc.toml documents each (a test compares them).

An option is added here, in model.py and in etc/pam_sc.toml, and nowhere else.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from pam_sc.config import values
from pam_sc.config.model import Fetch, OcspNonce
from pam_sc.config.schema import Key, ListOf, ShortOrTable, Table
from pam_sc.decision.policy import Algorithms, Otherwise, RevocationMode, RevocationSource
from pam_sc.decision.uri import parse_token_uri
from pam_sc.record import replace

_CARD = ("optional", "required")
_REFUSE_OR_ALLOW = ("refuse", "allow")
_ON_OR_OFF = ("on", "off")
TIMEOUT_MAX_S = 300
WAIT_MAX_S = 170
PROMPTS_MAX = 3
PIN_MAX = 512
WRONG_PINS_MAX = 10
WARN_MAX_DAYS = 3650
CLOCK_SKEW_MAX_S = 86_400
SIZE_MIN = 1 << 10
SIZE_MAX = 16 << 30
SLOTS_MAX = 64
SERVICES_MAX = 64


def _values(kind: type[enum.Enum]) -> tuple[str, ...]:
    return tuple(str(each.value) for each in kind)


def words(words: tuple[str, ...]) -> Key:
    """A value that is one of these."""
    expected = " or ".join(f'"{word}"' for word in words) if len(words) == 2 else f"one of {', '.join(words)}"
    return Key(expected=expected, parse=values.choice(*words), choices=words)


def _path(expected: str, *, required: bool = False) -> Key:
    return Key(expected=f"the absolute path of {expected}", parse=values.absolute_path, required=required)


BOOLEAN = Key(expected="true or false", parse=values.boolean)
SERVICE = Key(expected="the name of a PAM service, in lower case", parse=values.service_name)

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

SELECT = Table(
    expected="a table with uri, label, serial, slot_description, slot_description_prefix or slot_number",
    keys={
        "uri": Key(
            expected="a PKCS#11 URI (RFC 7512) such as pkcs11:token=login",
            parse=values.converted(parse_token_uri),
            silent=True,
        ),
        "label": Key(expected="the label of a token", parse=values.label),
        "serial": Key(expected="the serial number of a token", parse=values.label),
        "slot_description": Key(expected="the description of a slot", parse=values.label),
        "slot_description_prefix": Key(expected="the beginning of a slot's description", parse=values.label),
        "slot_number": Key(
            expected=f"the number of a slot, counted from 1 to {SLOTS_MAX}", parse=values.between(1, SLOTS_MAX)
        ),
    },
)

TOKEN = Table(
    expected="a table: [token]",
    keys={
        "module": ListOf(item=MODULE, least=1, expected="at least one [[token.module]] with its path"),
        "select": ShortOrTable(
            short=Key(
                expected='a PKCS#11 URI (RFC 7512) such as pkcs11:token=login, or { label = "..." }',
                parse=lambda value: {"uri": values.converted(parse_token_uri)(value)},
                silent=True,  # somebody may have written a PIN into it
            ),
            table=SELECT,
        ),
        "run_as": Key(expected="the name of an account", parse=values.account_name),
        "login_first": BOOLEAN,
    },
)

TRUST = Table(
    expected="a table: [trust]",
    keys={
        "anchors": _path("a file or folder of trust anchors", required=True),
        "intermediates": _path("a file or folder of certificates"),
        "algorithms": words(_values(Algorithms)),
        "strict": BOOLEAN,
        "partial_paths": BOOLEAN,
        "policies": ListOf(
            item=Key(expected="an object identifier such as 2.16.840.1.101.2.1.11.9", parse=values.object_identifier),
            least=1,
            optional=True,
            distinct=True,
            expected="an array of at least one certificate policy, each once",
        ),
    },
)

_RESPONDER_URL = Key(expected="the http or https URL of an OCSP responder", parse=values.url("http", "https"))

LOOKUP: Mapping[str, Key | ListOf | ShortOrTable] = {
    "mode": words(_values(RevocationMode)),
    "fetch": words(_values(Fetch)),
    "ocsp": words(_ON_OR_OFF),
    "ocsp_responder": ShortOrTable(
        short=Key(
            expected='the http or https URL of an OCSP responder, or { url = "...", certificate = "/..." }',
            parse=lambda value: {"url": values.url("http", "https")(value)},
        ),
        table=Table(
            keys={
                "url": replace(_RESPONDER_URL, required=True),
                "certificate": _path("a file with the certificate of the responder"),
            }
        ),
    ),
    "ocsp_nonce": words(_values(OcspNonce)),
    "order": ListOf(
        item=words(_values(RevocationSource)),
        least=1,
        optional=True,
        distinct=True,
        expected='an array of "ocsp" and "crl", each at most once',
    ),
    "either": BOOLEAN,
    "sources": ListOf(
        item=Key(
            expected="the http, https, ldap or ldaps URL of a CRL", parse=values.url("http", "https", "ldap", "ldaps")
        ),
        distinct=True,
        expected="an array of URLs of CRLs, each once",
    ),
    "timeout": Key(expected=f"whole seconds from 1 to {TIMEOUT_MAX_S}", parse=values.between(1, TIMEOUT_MAX_S)),
    "max_size": Key(
        expected='a number of bytes from 1 KiB to 16 GiB, as an integer or as text such as "64 MiB"',
        parse=values.size(SIZE_MIN, SIZE_MAX),
    ),
    "clock_skew": Key(
        expected=f"whole seconds from 0 to {CLOCK_SKEW_MAX_S}", parse=values.between(0, CLOCK_SKEW_MAX_S)
    ),
    "proxy": Key(expected="the http URL of a proxy, such as http://proxy.example:3128", parse=values.proxy_url),
    "loopback": words(_REFUSE_OR_ALLOW),
}
"""How revocation is looked up: what [revocation] says for the whole, and each [[revocation.ca]] may say for itself."""

AUTHORITY = Table(
    expected="a table: [[revocation.ca]]",
    keys={
        "name": Key(expected="a name for this CA", parse=values.label, required=True),
        "certificate": _path("a file with the certificates of this CA", required=True),
        **LOOKUP,
    },
)

REVOCATION = Table(
    expected="a table: [revocation]",
    keys={
        "crls": _path("a file or folder of CRLs"),
        "store": _path("the folder that pam-sc refresh fills"),
        **LOOKUP,
        "ca": ListOf(item=AUTHORITY, expected="an array of tables: [[revocation.ca]]"),
    },
)

MEMBERS = ListOf(
    item=Key(expected='the name of an account, or of a group as "@group"', parse=values.member),
    distinct=True,
    expected='an array of names of accounts, and of groups as "@group"',
)

PIN = Table(
    expected="a table: [pin]",
    keys={
        "allow_last_try": BOOLEAN,
        "prompts": Key(expected=f"a number from 1 to {PROMPTS_MAX}", parse=values.between(1, PROMPTS_MAX)),
        "min_length": Key(expected=f"a number of bytes from 1 to {PIN_MAX}", parse=values.between(1, PIN_MAX)),
        "max_length": Key(expected=f"a number of bytes from 1 to {PIN_MAX}", parse=values.between(1, PIN_MAX)),
        "pattern": Key(expected="a regular expression such as [0-9]+", parse=values.pattern),
        "pinpad": BOOLEAN,
        "allow_no_pin": BOOLEAN,
        "wrong_max": Key(expected=f"a number from 1 to {WRONG_PINS_MAX}", parse=values.between(1, WRONG_PINS_MAX)),
    },
)

_CERTIFICATE = Table(
    expected='a table with id, label or position, such as { label = "..." }',
    keys={
        "id": Key(expected="a CKA_ID in hexadecimal digits", parse=values.hexadecimal),
        "label": Key(expected="the label of a certificate object", parse=values.label),
        "position": Key(expected="a number counted from 1 to 256", parse=values.between(1, 256)),
    },
)

CERTIFICATE = Table(
    expected="a table: [certificate]",
    keys={
        "select": _CERTIFICATE,
        "prefer": ListOf(item=_CERTIFICATE, distinct=True, expected='an array of tables such as { label = "..." }'),
        "warn_days": Key(expected=f"whole days from 0 to {WARN_MAX_DAYS}", parse=values.between(0, WARN_MAX_DAYS)),
    },
)

UNLOCK = Table(
    expected="a table: [unlock]",
    keys={
        "services": ListOf(item=SERVICE, expected="an array of names of PAM services"),
        "same_card": BOOLEAN,
        "otherwise": words(_values(Otherwise)),
    },
)

ACCOUNT = Table(
    expected="a table: [account]",
    keys={
        "allow_root": BOOLEAN,
        "card_names_user": ListOf(item=SERVICE, expected="an array of names of PAM services"),
        "privileged_services": ListOf(item=SERVICE, expected="an array of names of PAM services"),
        "services": ListOf(
            item=SERVICE, least=1, optional=True, expected="an array of at least one name of a PAM service"
        ),
        "remote": words(_REFUSE_OR_ALLOW),
        "must_use": MEMBERS,
        "may_use": MEMBERS,
        "must_not_use": MEMBERS,
    },
)

MAPPER = Table(
    expected="a table: [[mapper]]",
    keys={"name": Key(expected="the name of a mapper", parse=values.text, required=True)},
    others=Key(expected="anything the mapper knows", parse=lambda value: value),
)

SCHEMA = Table(
    keys={
        "card": words(_CARD),
        "wait": Key(expected=f"whole seconds from 0 to {WAIT_MAX_S}", parse=values.between(0, WAIT_MAX_S)),
        "token": TOKEN,
        "trust": TRUST,
        "revocation": REVOCATION,
        "account": ACCOUNT,
        "pin": PIN,
        "certificate": CERTIFICATE,
        "unlock": UNLOCK,
        "log": Table(expected="a table: [log]", keys={"identity": BOOLEAN}),
        "prompt": Table(
            expected="a table: [prompt]",
            keys={"token_type": Key(expected="a word for a card", parse=values.label), "quiet": BOOLEAN, "choose": BOOLEAN,
                  "hold": BOOLEAN},
        ),
        "texts": Table(
            expected="a table: [texts]",
            others=Key(
                expected=f"one line of text, of at most {values.OWN_TEXT_MAX} characters", parse=values.own_text
            ),
        ),
        "mapper": ListOf(item=MAPPER, least=1, expected="at least one [[mapper]] with its name"),
    },
)
"""What holds for every service, and what the table of one may say anew."""

FILE = Table(
    keys={
        **SCHEMA.keys,
        "monitor": Key(expected="a table: [monitor]", parse=values.settings_table),
        "service": Table(
            expected="a table for each service: [service.NAME]",
            others=Key(expected="a table: [service.NAME]", parse=values.settings_table),
            other_names=SERVICE,
        ),
    },
)
"""A whole file. The table of a service is held against SCHEMA, laid over the rest, and [monitor] against monitor_keys.py,
which no login without such a table waits for (toml.py)."""
