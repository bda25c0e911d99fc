# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kinds of value that a configuration holds: each a function that returns the value or says what is wrong with it.

TypeError means the wrong type, UnacceptableError a value of the right type that cannot be meant. No file is opened.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from pam_sc.config.schema import Parsed, UnacceptableError
from pam_sc.errors import ConfigError

_PATH_MAX = 4095
_NAME_MAX = 255
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SYSTEM_CALL = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_LOADER_PREFIXES = ("LD_", "PYTHON")
_LOADER_NAMES = frozenset({"GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "NLSPATH", "MALLOC_TRACE", "PYKCS11LIB"})


def text(value: object) -> str:
    """A string without control characters."""
    if not isinstance(value, str):
        raise TypeError
    if not value.isprintable():
        raise UnacceptableError("it holds a character that cannot be printed")
    return value


def boolean(value: object) -> bool:
    """true or false, and nothing that only means it."""
    if not isinstance(value, bool):
        raise TypeError
    return value


def absolute_path(value: object) -> str:
    """An absolute path in its plain form: without "..", "." or repeated slashes."""
    path = text(value)
    if not path.startswith("/"):
        raise UnacceptableError("not absolute")
    if path.startswith("//") or posixpath.normpath(path) != path.removesuffix("/"):
        raise UnacceptableError('not in its plain form: no "..", no ".", no repeated slash')
    if len(path.encode("utf-8", "surrogateescape")) > _PATH_MAX:
        raise UnacceptableError("too long")
    return path.removesuffix("/")


def account_name(value: object) -> str:
    """Something that can be the name of an account."""
    name = text(value)
    if not name or len(name) > _NAME_MAX or name.startswith("-") or set(name) & set(":/ ,"):
        raise UnacceptableError("no account can have this name")
    return name


def service_name(value: object) -> str:
    """Something that can be the name of a PAM service; libpam itself turns them to lower case."""
    name = text(value)
    if not name or len(name) > _NAME_MAX or "/" in name or " " in name or name != name.lower():
        raise UnacceptableError("no PAM service can have this name")
    return name


def system_call_name(value: object) -> str:
    """Something that can be the name of a system call; whether there is one is libseccomp's to say."""
    name = text(value)
    if not _SYSTEM_CALL.fullmatch(name):
        raise UnacceptableError("no system call has this name")
    return name


def variable_name(value: object) -> str:
    """The name of an environment variable that does not steer the loader, the C library or the interpreter."""
    name = text(value)
    if not _VARIABLE.fullmatch(name):
        raise UnacceptableError("no environment variable has this name")
    if name.startswith(_LOADER_PREFIXES) or name in _LOADER_NAMES:
        raise UnacceptableError("it would change which code the card process runs")
    return name


def choice(*words: str) -> Callable[[object], str]:
    """One of these words."""

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise TypeError
        if value not in words:
            raise UnacceptableError
        return value

    return parse


def converted(parse: Callable[[str], Parsed]) -> Callable[[object], Parsed]:
    """A string that `parse` understands; its ConfigError says what is wrong."""

    def convert(value: object) -> Parsed:
        written = text(value)
        try:
            return parse(written)
        except ConfigError as error:
            raise UnacceptableError(str(error)) from error

    return convert
