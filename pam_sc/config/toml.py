# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read /etc/pam_sc/pam_sc.toml into a Configuration, or refuse it: whole and understood, or not at all.

The file, its parents and every PKCS#11 module must belong to somebody the login trusts and be writable by nobody else.
An unknown key, a wrong type, a missing anchor or mapper is a ConfigError that says file, line, key, what was found and
what was expected. Nothing is ever skipped, guessed or taken from the environment.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pam_sc.config.keys import LOOKUP, SCHEMA
from pam_sc.config.model import (
    DEFAULT_RUN_AS,
    DEFAULT_STORE,
    VERIFIER_ACCOUNT,
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
from pam_sc.config.notes import Note
from pam_sc.config.schema import KeyPath, MismatchError, describe
from pam_sc.config.where import dotted, find_line
from pam_sc.decision.policy import (
    DEFAULT_CARD_NAMES_USER,
    DEFAULT_PRIVILEGED_SERVICES,
    Algorithms,
    CertificateSelector,
    Members,
    Otherwise,
    RevocationMode,
    RevocationSource,
    TokenSelector,
    UnlockRules,
)
from pam_sc.errors import ConfigError, OwnershipError
from pam_sc.ownership import read_trusted_file, require_unwritable
from pam_sc.record import replace

MAX_BYTES = 256 * 1024


def load(path: str, trusted_uids: frozenset[int]) -> Configuration:
    """Return the configuration at `path` (absolute, *.toml); ConfigError if anything about it is wrong."""
    _require_our_format(path)
    text = read_text(path, trusted_uids)
    return build(path, _parse(path, text), trusted_uids, lambda mismatch: _explain(path, text, mismatch))


def build(
    path: str,
    tree: Mapping[str, Any],
    trusted_uids: frozenset[int],
    explain: Callable[[MismatchError], str],
    *,
    notes: tuple[Note, ...] = (),
    places: Mapping[str, str] | None = None,
) -> Configuration:
    """Return the configuration that a parsed tree describes; ConfigError, as `explain` words it, if it is none.

    `notes` and `places` are what is known of a file in the peer's format.
    """
    configuration = replace(read_tree(path, tree, explain, places), notes=notes, places=places or {})
    _require_safe_modules(configuration, trusted_uids)
    return configuration


def read_tree(
    path: str,
    tree: Mapping[str, Any],
    explain: Callable[[MismatchError], str],
    places: Mapping[str, str] | None = None,
) -> Configuration:
    """The same without a look at the files that it names: for a configuration that no login uses yet."""
    try:
        configuration = _build(path, SCHEMA.read(tree, ()), places or {})
        _require_sense(configuration)
    except MismatchError as mismatch:
        raise ConfigError(explain(mismatch)) from None
    return configuration


# ---------------------------------------------------------------- the file


def _require_our_format(path: str) -> None:
    if not path.startswith("/"):
        raise ConfigError(f"cannot use the configuration {path!r}: expected an absolute path")
    if not path.endswith(".toml"):
        expected = "expected a name that ends in .toml, or in .conf for the format of pam_pkcs11"
        raise ConfigError(f"cannot use the configuration {path!r}: {expected}")


def read_text(path: str, trusted_uids: frozenset[int]) -> str:
    """Return the text of a configuration that only trusted users can change; ConfigError otherwise."""
    if not path.startswith("/"):
        raise ConfigError(f"cannot use the configuration {path!r}: expected an absolute path")
    try:
        return read_trusted_file(path, trusted_uids, MAX_BYTES).decode("utf-8")
    except OwnershipError as error:
        raise ConfigError(f"cannot read the configuration: {error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: byte {error.start} is not UTF-8") from error


def _parse(path: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else ascii(str(error))[1:-1]
        raise ConfigError(f"{path}: not TOML: {cause}") from None


def _explain(path: str, text: str, mismatch: MismatchError) -> str:
    line = next((line for line in _lines(text, mismatch.path) if line is not None), None)
    place = path if line is None else f"{path}:{line}"
    hint = f"; did you mean {mismatch.nearest!r}?" if mismatch.nearest else ""
    return f"{place}: {dotted(mismatch.path)}: found {mismatch.found}, expected {mismatch.expected}{hint}"


def _lines(text: str, path: KeyPath) -> list[int | None]:
    """The line of the key, of the table around it, of the table around that."""
    return [find_line(text, path[:length]) for length in range(len(path), 0, -1)]


# ---------------------------------------------------------------- the values


def _build(path: str, read: Mapping[str, Any], places: Mapping[str, str]) -> Configuration:
    return Configuration(
        source=path,
        card_required=read.get("card") == "required",
        token=_token(read["token"]),
        trust=_trust(read["trust"]),
        revocation=_revocation(path, read.get("revocation", {})),
        account=_account(read.get("account", {})),
        pin=PinSettings(**read.get("pin", {})),
        prompt=PromptSettings(**read.get("prompt", {})),
        certificate=_certificate(read.get("certificate", {})),
        unlock=UnlockRules(**_converted(read.get("unlock", {}), {"services": frozenset, "otherwise": Otherwise})),
        log=LogSettings(**read.get("log", {})),
        wait_s=read.get("wait", 0),
        mappers=tuple(_mapper(path, index, table, places) for index, table in enumerate(read["mapper"])),
    )


def _token(read: Mapping[str, Any]) -> TokenSettings:
    return TokenSettings(
        modules=tuple(ModuleSettings(**module) for module in read["module"]),
        select=_selector(read["select"]) if "select" in read else None,
        run_as=read.get("run_as", DEFAULT_RUN_AS),
        login_first=read.get("login_first", False),
    )


def _selector(read: Mapping[str, Any]) -> TokenSelector:
    if not read:
        raise MismatchError(("token", "select"), "an empty table", "at least one of its keys")
    more = {name: value for name, value in read.items() if name != "uri"}
    uri: TokenSelector | None = read.get("uri")
    words = [uri.text] if uri else []
    text = ", ".join(words + [f"{name} {value!r}" for name, value in more.items()])
    said = {_SELECTORS.get(name, name): value for name, value in more.items()}
    twice = [name for name, value in said.items() if uri is not None and getattr(uri, name) not in (None, value)]
    if twice:
        raise MismatchError(("token", "select"), text, f"the uri and the other keys to want the same {twice[0]}")
    return replace(uri or TokenSelector(text=text), text=text, **said)


_SELECTORS = {"label": "token"}
"""Keys that have another name in the model, which keeps to RFC 7512."""


def _trust(read: Mapping[str, Any]) -> TrustSettings:
    return TrustSettings(**_converted(read, {"algorithms": Algorithms, "policies": frozenset}))


def _revocation(path: str, read: Mapping[str, Any]) -> RevocationSettings:
    whole = _lookup(read, LookupSettings())
    return RevocationSettings(
        crls=read.get("crls"),
        store=read.get("store", DEFAULT_STORE),
        lookup=whole,
        authorities=tuple(_authority(path, index, table, whole) for index, table in enumerate(read.get("ca", ()))),
    )


def _authority(path: str, index: int, read: Mapping[str, Any], whole: LookupSettings) -> CaSettings:
    where = f"{path}: revocation.ca[{index}]"
    return CaSettings(name=read["name"], certificate=read["certificate"], lookup=_lookup(read, whole), where=where)


def _lookup(read: Mapping[str, Any], inherited: LookupSettings) -> LookupSettings:
    """What is said here, and for the rest what is said around it."""
    said = {_FIELDS.get(name, name): value for name, value in read.items() if name in LOOKUP}
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


def _converted(read: Mapping[str, Any], types: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    return {name: types[name](value) if name in types else value for name, value in read.items()}


def _account(read: Mapping[str, Any]) -> AccountSettings:
    return AccountSettings(
        allow_root=read.get("allow_root", False),
        card_names_user=frozenset(read.get("card_names_user", DEFAULT_CARD_NAMES_USER)),
        privileged_services=frozenset(read.get("privileged_services", DEFAULT_PRIVILEGED_SERVICES)),
        services=frozenset(read["services"]) if "services" in read else None,
        remote_allowed=read.get("remote") == "allow",
        must_use=_members(read.get("must_use", ())),
        may_use=_members(read["may_use"]) if "may_use" in read else None,
        must_not_use=_members(read.get("must_not_use", ())),
    )


def _members(names: Sequence[str]) -> Members:
    groups = frozenset(name.removeprefix("@") for name in names if name.startswith("@"))
    return Members(accounts=frozenset(name for name in names if not name.startswith("@")), groups=groups)


def _certificate(read: Mapping[str, Any]) -> CertificateSettings:
    select = read.get("select")
    return CertificateSettings(
        select=None if select is None else _certificate_selector(select, ("certificate", "select")),
        prefer=tuple(
            _certificate_selector(each, ("certificate", "prefer", index))
            for index, each in enumerate(read.get("prefer", ()))
        ),
        warn_days=read.get("warn_days", CertificateSettings().warn_days),
    )


def _certificate_selector(read: Mapping[str, Any], path: KeyPath) -> CertificateSelector:
    if not read:
        raise MismatchError(path, "an empty table", "at least one of its keys")
    words = [f"{name} {value.hex() if isinstance(value, bytes) else repr(value)}" for name, value in read.items()]
    return CertificateSelector(
        text=", ".join(words), object_id=read.get("id"), label=read.get("label"), position=read.get("position")
    )


def _mapper(path: str, index: int, read: Mapping[str, Any], places: Mapping[str, str]) -> MapperSettings:
    table = {key: value for key, value in read.items() if key != "name"}
    where = f"mapper[{index}]"
    return MapperSettings(name=read["name"], table=table, where=f"{places.get(where, path)}: {where}")


# ---------------------------------------------------------------- what no single key can say


def _require_sense(configuration: Configuration) -> None:
    run_as = configuration.token.run_as
    if run_as in ("root", VERIFIER_ACCOUNT):
        expected = f"an account of its own for the card process, such as {DEFAULT_RUN_AS!r}"
        raise MismatchError(("token", "run_as"), repr(run_as), expected)
    _require_one_environment(configuration)
    _require_distinct_authorities(configuration.revocation)
    for at, lookup in _lookups(configuration.revocation):
        if not lookup.rules().sources:
            raise MismatchError((*at, "order"), 'only "ocsp"', '"crl" too, because ocsp is off')


def _require_one_environment(configuration: Configuration) -> None:
    seen: dict[str, tuple[int, str]] = {}
    for index, module in enumerate(configuration.token.modules):
        for name, value in module.environment.items():
            first, other = seen.setdefault(name, (index, value))
            if other != value:
                at: KeyPath = ("token", "module", index, "environment", name)
                expected = f"the same value as in token.module[{first}], because all modules share one process"
                raise MismatchError(at, "another value", expected)


def _lookups(revocation: RevocationSettings) -> Iterator[tuple[KeyPath, LookupSettings]]:
    yield ("revocation",), revocation.lookup
    for index, authority in enumerate(revocation.authorities):
        yield ("revocation", "ca", index), authority.lookup


def _require_distinct_authorities(revocation: RevocationSettings) -> None:
    seen: dict[tuple[str, str], int] = {}
    for index, authority in enumerate(revocation.authorities):
        for key, value in (("name", authority.name), ("certificate", authority.certificate)):
            first = seen.setdefault((key, value), index)
            if first != index:
                expected = f"another {key} than that of revocation.ca[{first}]"
                raise MismatchError(("revocation", "ca", index, key), describe(value), expected)


def _require_safe_modules(configuration: Configuration, trusted_uids: frozenset[int]) -> None:
    for index, module in enumerate(configuration.token.modules):
        try:
            require_unwritable(module.path, trusted_uids)
        except OwnershipError as error:
            key = f"token.module[{index}].path"
            raise ConfigError(f"{configuration.places.get(key, configuration.source)}: {key}: {error}") from error
