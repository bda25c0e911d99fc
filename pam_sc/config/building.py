# SPDX-License-Identifier: LGPL-2.1-or-later
"""Make the frozen values of a Configuration from what the schema has read: one part for each key at the top of a file.

A key that is not there has the default of the model, or for a service what holds for the whole file. What no single key
can say is judged in sense.py. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pam_sc.config.keys import LOOKUP
from pam_sc.config.model import (
    AccountSettings,
    CaSettings,
    CertificateSettings,
    Configuration,
    Fetch,
    LogSettings,
    LookupSettings,
    MapperSettings,
    ModuleSettings,
    OcspNonce,
    OcspResponder,
    PinSettings,
    PromptSettings,
    RevocationSettings,
    TokenSettings,
    TrustSettings,
)
from pam_sc.config.schema import KeyPath, MismatchError
from pam_sc.decision.policy import (
    Algorithms,
    CertificateSelector,
    Members,
    Otherwise,
    RevocationMode,
    RevocationSource,
    TokenSelector,
    UnlockRules,
)
from pam_sc.record import replace

PlaceOf = Callable[[str], str]
"""Says of a dotted key where it stands: the file, with the line where that is known."""


def build_whole(path: str, read: Mapping[str, Any], place_of: PlaceOf) -> Configuration:
    """Return the configuration that holds where no table of a service says otherwise."""
    return Configuration(source=path, **_parts(read, place_of, ""))


def build_service(whole: Configuration, read: Mapping[str, Any], place_of: PlaceOf, prefix: str) -> Configuration:
    """Return `whole` with the parts that a service has anew; `prefix` is what its dotted keys begin with."""
    return replace(whole, **_parts(read, place_of, prefix))


def _parts(read: Mapping[str, Any], place_of: PlaceOf, prefix: str) -> dict[str, Any]:
    made = {_PARTS[key][0]: _PARTS[key][1](value) for key, value in read.items() if key in _PARTS}
    if "revocation" in read:
        made["revocation"] = _revocation(read["revocation"], place_of, prefix)
    if "mapper" in read:
        made["mappers"] = tuple(_mapper(each, place_of, f"{prefix}mapper[{at}]") for at, each in enumerate(read["mapper"]))
    return made


def _converted(read: Mapping[str, Any], types: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    return {name: types[name](value) if name in types else value for name, value in read.items()}


def _renamed(read: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in read.items()}


# ---------------------------------------------------------------- the token


def _token(read: Mapping[str, Any]) -> TokenSettings:
    types: Mapping[str, Callable[[Any], Any]] = {
        "modules": lambda tables: tuple(ModuleSettings(**table) for table in tables),
        "select": _selector,
    }
    return TokenSettings(**_converted(_renamed(read, {"module": "modules"}), types))


_OF_URI = {"label": "token", "serial": "serial", "slot_description": "slot_description"}
"""Keys that say what a URI can say too, with the field for it."""


def _selector(read: Mapping[str, Any]) -> TokenSelector:
    if not read:
        raise MismatchError(("token", "select"), "an empty table", "at least one of its keys")
    uri: TokenSelector | None = read.get("uri")
    for name, field in _OF_URI.items():
        if name in read and uri is not None and getattr(uri, field) is not None:
            raise MismatchError(("token", "select", name), "what the uri beside it says too", "only one of the two")
    others = {name: value for name, value in read.items() if name != "uri"}
    words = [uri.text] if uri else []
    text = ", ".join(words + [f"{name} {value!r}" for name, value in others.items()])
    return replace(uri or TokenSelector(text=text), text=text, **_renamed(others, _OF_URI))


# ---------------------------------------------------------------- whom to believe


def _trust(read: Mapping[str, Any]) -> TrustSettings:
    return TrustSettings(**_converted(read, {"algorithms": Algorithms, "policies": frozenset}))


def _revocation(read: Mapping[str, Any], place_of: PlaceOf, prefix: str) -> RevocationSettings:
    whole = _lookup(read, LookupSettings())
    given = {name: read[name] for name in ("crls", "store") if name in read}
    authorities = tuple(
        _authority(table, whole, place_of, f"{prefix}revocation.ca[{index}]") for index, table in enumerate(read.get("ca", ()))
    )
    return RevocationSettings(lookup=whole, authorities=authorities, **given)


def _authority(read: Mapping[str, Any], whole: LookupSettings, place_of: PlaceOf, where: str) -> CaSettings:
    return CaSettings(
        name=read["name"], certificate=read["certificate"], lookup=_lookup(read, whole), where=f"{place_of(where)}: {where}"
    )


def _lookup(read: Mapping[str, Any], inherited: LookupSettings) -> LookupSettings:
    """What is said here, and for the rest what is said around it."""
    said = _renamed({name: value for name, value in read.items() if name in LOOKUP}, _FIELDS)
    return replace(inherited, **_converted(said, _LOOKUP_TYPES))


_FIELDS = {"timeout": "timeout_s", "max_size": "max_bytes", "clock_skew": "clock_skew_s"}
"""Keys that have another name in the model, which says the unit."""

_LOOKUP_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "mode": RevocationMode,
    "fetch": Fetch,
    "ocsp": "on".__eq__,
    "ocsp_responder": lambda table: OcspResponder(**table),
    "ocsp_nonce": OcspNonce,
    "order": lambda words: tuple(RevocationSource(word) for word in words),
    "loopback": "allow".__eq__,
}


# ---------------------------------------------------------------- the account


def _account(read: Mapping[str, Any]) -> AccountSettings:
    return AccountSettings(**_converted(_renamed(read, {"remote": "remote_allowed"}), _ACCOUNT_TYPES))


def members_of(names: Sequence[str]) -> Members:
    """Return accounts, and groups written "@group", as two sets."""
    groups = frozenset(name.removeprefix("@") for name in names if name.startswith("@"))
    return Members(accounts=frozenset(name for name in names if not name.startswith("@")), groups=groups)


_ACCOUNT_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "card_names_user": frozenset,
    "privileged_services": frozenset,
    "services": frozenset,
    "remote_allowed": "allow".__eq__,
    "must_use": members_of,
    "may_use": members_of,
    "must_not_use": members_of,
}


def _mapper(read: Mapping[str, Any], place_of: PlaceOf, where: str) -> MapperSettings:
    table = {key: value for key, value in read.items() if key != "name"}
    return MapperSettings(name=read["name"], table=table, where=f"{place_of(where)}: {where}")


# ---------------------------------------------------------------- the certificate


def _certificate(read: Mapping[str, Any]) -> CertificateSettings:
    types: Mapping[str, Callable[[Any], Any]] = {
        "select": lambda table: _certificate_selector(table, ("certificate", "select")),
        "prefer": lambda tables: tuple(
            _certificate_selector(each, ("certificate", "prefer", index)) for index, each in enumerate(tables)
        ),
    }
    return CertificateSettings(**_converted(read, types))


def _certificate_selector(read: Mapping[str, Any], path: KeyPath) -> CertificateSelector:
    if not read:
        raise MismatchError(path, "an empty table", "at least one of its keys")
    words = [f"{name} {value.hex() if isinstance(value, bytes) else repr(value)}" for name, value in read.items()]
    return CertificateSelector(text=", ".join(words), **_renamed(read, {"id": "object_id"}))


# ---------------------------------------------------------------- the parts


_PARTS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "card": ("card_required", "required".__eq__),
    "wait": ("wait_s", int),
    "token": ("token", _token),
    "trust": ("trust", _trust),
    "account": ("account", _account),
    "pin": ("pin", lambda read: PinSettings(**read)),
    "prompt": ("prompt", lambda read: PromptSettings(**read)),
    "certificate": ("certificate", _certificate),
    "unlock": ("unlock", lambda read: UnlockRules(**_converted(read, {"services": frozenset, "otherwise": Otherwise}))),
    "log": ("log", lambda read: LogSettings(**read)),
    "texts": ("texts", dict),
    "monitor": ("monitor", dict),
}
"""For each key at the top of a file its field in the model, and what makes that of what was read."""
