# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `command`: a program of the administrator's answers, without privilege, one line of JSON for one.

What it is asked and may answer is in docs/mappers/command.md. This only asks and judges the answer: the program is run
by another process. An answer that is not exactly what was asked for is "could not answer", never "no account".
"""

from __future__ import annotations

import os
import stat
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any, NoReturn, Self

from pam_sc.decision.alternative_names import AlternativeName
from pam_sc.decision.digest import sha256
from pam_sc.decision.identity import Subject
from pam_sc.decision.reasons import Reason
from pam_sc.errors import ConfigError, OwnershipError
from pam_sc.mapfile import unusable_account
from pam_sc.mapping import Mapper, MapperContext, check_table
from pam_sc.ownership import resolve_trusted
from pam_sc.programs.order import ProgramOrder, read_order
from pam_sc.services import CannotMap, Programs

VERSION = 1
ACCOUNTS_MAX = 64
ACCOUNT_MAX = 256


class CommandMapper(Mapper):
    """Maps what the program says."""

    def __init__(self, order: ProgramOrder, programs: Programs) -> None:
        self._order = order
        self._programs = programs

    @classmethod
    def from_table(cls, table: Mapping[str, Any], context: MapperContext) -> Self:
        """Make the mapper; ConfigError for a wrong key, or a program that somebody untrusted could change."""
        check_table(table, {"program": list, "timeout": int, "run_as": str}, context.where)
        order = read_order(table, context.where)
        _require_trusted(order.argv[0], context)
        return cls(order, context.services.programs)

    def sees(self, subject: Subject) -> tuple[str, ...]:  # noqa: ARG002 - the program gets all of it
        """Nothing of its own: the program is given the whole certificate."""
        return ()

    def accounts(self, subject: Subject) -> tuple[str, ...]:
        """The accounts that the program lists; CannotMap for any other answer."""
        listed = self._ask({"question": "accounts"}, subject, "accounts")
        if type(listed) is not list or len(listed) > ACCOUNTS_MAX:
            self._unusable(f"accounts is not a list of at most {ACCOUNTS_MAX} names")
        for name in listed:
            if type(name) is not str or len(name) > ACCOUNT_MAX or unusable_account(name) is not None:
                self._unusable("accounts holds what cannot be the name of an account")
        return tuple(dict.fromkeys(listed))

    def claims(self, subject: Subject, account: str) -> bool:
        """Say whether the program says true; CannotMap for any other answer than true or false."""
        answer = self._ask({"question": "claims", "account": account}, subject, "claims")
        if type(answer) is not bool:
            self._unusable("claims is neither true nor false")
        return answer

    def _ask(self, question: Mapping[str, Any], subject: Subject, key: str) -> Any:
        import json  # a login without such a program needs none of it

        line = json.dumps({"version": VERSION, **question, "certificate": describe(subject)}, separators=(",", ":"))
        answered = self._programs.ask(self._order.argv, line, float(self._order.timeout_s))
        try:
            answer = json.loads(answered, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            self._unusable("it is not an object of JSON without repeated keys")
        if type(answer) is not dict or set(answer) != {key}:
            self._unusable(f"it is not an object with the one key {key!r}")
        return answer[key]

    def _unusable(self, why: str) -> NoReturn:
        raise CannotMap(Reason.PROGRAM_ANSWER_UNUSABLE, f"program {self._order.argv[0]!r}: the answer is unusable: {why}")


def describe(subject: Subject) -> dict[str, Any]:
    """Return what a program is told about a certificate: values that mappers may use, and the certificate itself."""
    return {
        "subject": subject.subject.rfc4514,
        "issuer": subject.issuer.rfc4514,
        "serial": None if subject.facts is None else f"{subject.facts.serial_number:x}",
        "sha256": sha256(subject.der).hex(),
        "common_names": list(subject.common_names),
        "sans": [_san(each) for each in subject.alternative_names],
        "der": b2a_base64(subject.der, newline=False).decode("ascii"),
    }


def _san(name: AlternativeName) -> dict[str, str]:
    described = {"kind": name.kind.value, "value": name.value}
    return {**described, "oid": name.oid} if name.oid else described


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _require_trusted(path: str, context: MapperContext) -> None:
    """ConfigError unless only trusted accounts can change the program or any folder above it, and it can be executed."""
    try:
        status = os.stat(resolve_trusted(path, context.trusted_uids))
    except (OwnershipError, OSError) as error:
        raise ConfigError(f"{context.where}: cannot use the program {path!r}: {error}") from error
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
        raise ConfigError(f"{context.where}: cannot use the program {path!r}: it is no executable file")
