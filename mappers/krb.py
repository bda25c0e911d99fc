# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `krb`: every Kerberos principal of the subjectAltName (KRB5PrincipalName, RFC 4556) names an account.

The whole principal (`alice@EXAMPLE.TEST`) may be a mapfile's line. Without one the name of a principal is an account
only within the realms that the configuration lists, and only if it has one component: `alice/admin` is not `alice`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pam_sc.decision.identity import Subject
from pam_sc.decision.kerberos import KerberosPrincipal
from pam_sc.errors import ConfigError
from pam_sc.mapping import MapperContext
from pam_sc.value_mapper import ValueMapper, words


class KrbMapper(ValueMapper):
    """Maps every KRB5PrincipalName. Realms are compared exactly, with the case of their letters (RFC 4120, 6.1)."""

    OPTIONS: ClassVar[Mapping[str, type]] = {"realms": list, "any_realm": bool}

    def __init__(self, table: Mapping[str, Any], context: MapperContext) -> None:
        """Read the shared keys and the realms."""
        super().__init__(table, context)
        self._realms = words(table, "realms", "realm", context)
        any_realm = table.get("any_realm", False)
        if any_realm and self._realms:
            raise ConfigError(f"{context.where}: any_realm says that no realm is looked at: remove it, or realms")
        self._name_is_account = bool(self._realms) or any_realm
        if self.may_be_unlisted and not self._name_is_account:
            raise ConfigError(f"{context.where}: set realms or mapfile: a principal of any realm is no account by itself")

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The principals of a realm that counts, as krb5 writes them."""
        return tuple(principal.text for principal in subject.principals if self._counts(principal))

    def name_of(self, value: str) -> str | None:
        r"""The name of a principal with one plain component; `text` writes each special character with a backslash."""
        name, _at, _realm = value.partition("@")
        return None if "/" in value or "\\" in value or not self._name_is_account else name

    def why(self, subject: Subject, account: str | None) -> tuple[str, ...]:  # noqa: ARG002 - the same for each
        """The principals that do not count, and those whose name is no account."""
        foreign = (f"{each.text!r} is not of one of the realms" for each in subject.principals if not self._counts(each))
        several = (f"{text!r} has more than one plain component" for text in self.sees(subject) if not self.name_of(text))
        return (*foreign, *(several if self._name_is_account else ()))

    def _counts(self, principal: KerberosPrincipal) -> bool:
        return not self._realms or principal.realm in self._realms
