# SPDX-License-Identifier: LGPL-2.1-or-later
"""Say what is questionable about how mappers ask a directory: who could answer in its place, and who can read secrets.

Advice for `pam-sc check-config`, like all of lint.py. Secret files are looked at from outside and never opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint_files import check_readable
from pam_sc.config.model import Configuration, MapperSettings
from pam_sc.services import on_this_machine


def lint_directories(configuration: Configuration) -> Iterator[Finding]:
    """Yield what is questionable about each mapper that asks a directory."""
    for index, mapper in enumerate(configuration.mappers):
        table, key = _table(mapper), f"mapper[{index}]" + (".ldap" if mapper.name != "ldap" else "")
        if table:
            yield from _lint_servers(table, key)
            yield from _lint_files(table, key)


def _table(mapper: MapperSettings) -> Mapping[str, Any]:
    """Where the directory of a mapper is described: `ldap` is all about one, `rules` has a table of that name."""
    table = mapper.table if mapper.name == "ldap" else mapper.table.get("ldap") if mapper.name == "rules" else None
    return table if isinstance(table, Mapping) else {}


def _lint_servers(table: Mapping[str, Any], key: str) -> Iterator[Finding]:
    if table.get("tls_verify") == "never" and table.get("tls") != "off":
        yield Finding(Weight.ERROR, f"{key}.tls_verify", "never: whoever answers in the directory's place decides whose"
                      " card is whose, and is told what it is asked with; set ca, then remove this line")
    if table.get("tls") != "off" or _all_on_this_machine(table.get("uri")):
        return
    yield Finding(Weight.ERROR, f"{key}.tls", "off: whoever stands between can answer in the directory's place and decide"
                  " whose card is whose; set starttls and ca")
    if "password_file" in table:
        yield Finding(Weight.ERROR, f"{key}.password_file", "tls is off: the password crosses the network in the clear")


def _all_on_this_machine(uri: object) -> bool:
    return all(on_this_machine(str(each)) for each in (uri if isinstance(uri, list) else [uri]))


def _lint_files(table: Mapping[str, Any], key: str) -> Iterator[Finding]:
    if isinstance(table.get("ca"), str):
        yield from check_readable(f"{key}.ca", table["ca"])
    certificate = table.get("client_certificate")
    if isinstance(certificate, str) and certificate != table.get("client_key"):
        yield from check_readable(f"{key}.client_certificate", certificate)
    for name in ("password_file", "client_key"):
        if isinstance(table.get(name), str):
            yield from _lint_secret(f"{key}.{name}", table[name])


def _lint_secret(key: str, path: str) -> Iterator[Finding]:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        yield Finding(Weight.ERROR, key, f"{path} does not exist")
        return
    except OSError as error:
        yield Finding(Weight.NOTE, key, f"{path} cannot be looked at: {error.strerror}")
        return
    if mode & stat.S_IRWXO:
        yield Finding(Weight.ERROR, key, f"others have a right to {path}, so logins refuse it, and what is in it may be"
                      f" known: change that, then chmod 600 {path}")
