# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say in plain sentences how a certificate becomes an account: one for each mapper, and for each rule of SSSD's kind. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pam_sc.config.model import MapperSettings


def mapping_in_words(mappers: Sequence[MapperSettings]) -> Iterator[str]:
    """Yield the sentences, in the order of the mappers."""
    for number, mapper in enumerate(mappers, 1):
        yield f"{_ordinal(number, len(mappers))}{_mapper(mapper)}"
        yield from map(_rule, _tables(mapper.table.get("rule")))
    if len(mappers) > 1:
        yield "Where no user name was typed, these must agree on one account."


def _mapper(mapper: MapperSettings) -> str:
    seen = _SEEN.get(mapper.name, f"what the mapper {mapper.name!r} sees")
    table = {key: value for key, value in mapper.table.items() if not _tables(value)}
    mapfile, same = table.pop("mapfile", None), table.pop("unlisted", "refuse") == "same"
    if isinstance(mapfile, str):
        fall_back = ", and what it does not list names itself" if same else ", and nothing else maps"
        text = f"{seen} names the account through the allow-list {mapfile}{fall_back}"
    else:
        text = f"{seen} names the account"
    return f"{text}{_options(table)}."


def _tables(value: object) -> list[Mapping[str, Any]]:
    """The tables of an array of tables; of anything else none."""
    if isinstance(value, (list, tuple)) and all(isinstance(item, Mapping) for item in value):
        return list(value)
    return []


def _rule(table: Mapping[str, Any]) -> str:
    """One rule of the mapper `rules`; the others that have arrays of tables are somebody else's."""
    rest = {key: value for key, value in table.items() if key not in ("name", "match", "map", "account")}
    match = table.get("match", "a certificate for clientAuth and digitalSignature")
    gives = table.get("map") or table.get("account") or table.get("name")
    return f"Rule {table.get('name')!r}: {match} gives {gives}{_options(rest)}."


_SEEN: Mapping[str, str] = {
    "cn": "the commonName",
    "command": "an external program",
    "digest": "the hash of the certificate",
    "generic": "the chosen part of the certificate",
    "krb": "the Kerberos principal",
    "ldap": "the directory",
    "mail": "the e-mail address",
    "ms": "the Microsoft UPN",
    "null": "nothing (every certificate that is valid)",
    "opensc": "the list of certificates in the account's home",
    "openssh": "the list of keys in the account's home",
    "pwent": "the commonName, as login name or GECOS of an account,",
    "rules": "every rule that matches",
    "serial": "issuer and serial number",
    "subject": "the whole subject",
    "uid": "the userId",
    "upn": "the Microsoft UPN",
}


def _options(table: Mapping[str, Any]) -> str:
    if not table:
        return ""
    return f" ({', '.join(f'{name} = {_shown(value)}' for name, value in table.items())})"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_shown(item)}' for name, item in value.items())} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _ordinal(number: int, of: int) -> str:
    return f"Mapper {number}: " if of > 1 else "The mapper: "
