# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kinds of value that a configuration holds: each a function that returns the value or says what is wrong with it.

TypeError means the wrong type, UnacceptableError a value of the right type that cannot be meant. No file is opened.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from pam_sc.config.schema import Parsed, SecretError, UnacceptableError
from pam_sc.errors import ConfigError

_PATH_MAX = 4095
_NAME_MAX = 255
_ARGUMENTS_MAX = 64
_SHOWN_MAX = 60
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SYSTEM_CALL = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,38})){1,30}")
_SIZE = re.compile(r"([1-9][0-9]{0,12}) ?(KiB|MiB|GiB)")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_URL_MAX = 2048
OWN_TEXT_MAX = 200
_NEVER_IN_URLS = frozenset('"#<>\\^`{|}')
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_LOADER_PREFIXES = ("LD_", "PYTHON")
_LOADER_NAMES = frozenset({"GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "NLSPATH", "MALLOC_TRACE", "PYKCS11LIB"})


def text(value: object) -> str:
    """A string without control characters."""
    if not isinstance(value, str):
        raise TypeError
    if not value.isprintable():
        raise UnacceptableError("it holds a character that cannot be printed")
    return value


def label(value: object) -> str:
    """A short string that names something for people."""
    name = text(value)
    if not name or name != name.strip() or len(name) > _NAME_MAX:
        raise UnacceptableError("no name is written so")
    return name


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


def object_identifier(value: object) -> str:
    """A dotted object identifier."""
    dotted = text(value)
    first, _dot, rest = dotted.partition(".")
    if not _OID.fullmatch(dotted) or (first < "2" and int(rest.partition(".")[0]) > 39):
        raise UnacceptableError("no object identifier is written so")
    return dotted


def between(least: int, most: int) -> Callable[[object], int]:
    """A whole number from `least` to `most`."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError
        if not least <= value <= most:
            raise UnacceptableError("too small" if value < least else "too large")
        return value

    return parse


def seconds(least: float, most: float) -> Callable[[object], float]:
    """A number of seconds from `least` to `most`, whole or not."""

    def parse(value: object) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError
        if not least <= value <= most:  # what is no number (nan) is not between either
            raise UnacceptableError("too small" if value < least else "too large" if value > most else "no number")
        return float(value)

    return parse


def program(value: object) -> tuple[str, ...]:
    """A program and its arguments: the first an absolute path, or a name that no folder stands before."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError
    if not value or len(value) > _ARGUMENTS_MAX:
        raise UnacceptableError("it has no program in it" if not value else f"it has more than {_ARGUMENTS_MAX} arguments")
    first, *arguments = (text(each) for each in value)
    if first.startswith("/"):
        absolute_path(first)
    elif "/" in first or not first or first.startswith(("-", ".", "~")) or first != first.strip():
        raise UnacceptableError(f"{first[:_SHOWN_MAX]!a} is neither an absolute path nor the plain name of a program")
    elif " " in first:
        raise UnacceptableError(f"{first[:_SHOWN_MAX]!a} has its arguments in one string, and no shell reads it: write each as"
                                " a string of its own")
    return (first, *arguments)


def size(least: int, most: int) -> Callable[[object], int]:
    """A number of bytes from `least` to `most`, as an integer or as text with a unit: "64 MiB"."""
    in_range = between(least, most)

    def parse(value: object) -> int:
        if not isinstance(value, str):
            return in_range(value)
        written = _SIZE.fullmatch(value)
        if not written:
            raise UnacceptableError("no size is written so")
        return in_range(int(written[1]) * _UNITS[written[2]])

    return parse


def url(*schemes: str) -> Callable[[object], str]:
    """A URL of one of these schemes that names a host, without a name and password in it, as the network takes it."""

    def parse(value: object) -> str:
        written = text(value)
        if not all("!" <= one <= "~" and one not in _NEVER_IN_URLS for one in written) or len(written) > _URL_MAX:
            raise UnacceptableError("no URL is written so")
        scheme, colon, rest = written.partition("://")
        if scheme.lower() not in schemes:
            raise UnacceptableError("of a scheme that is not used here" if colon else "not a URL")
        _require_plain_host(rest.partition("/")[0].partition("?")[0])
        return written

    return parse


def proxy_url(value: object) -> str:
    """The URL of an HTTP proxy: http, host and port."""
    written = url("http")(value)
    if written.removesuffix("/").count("/") > 2 or "?" in written:
        raise UnacceptableError("it names more than a host and a port")
    return written


def _require_plain_host(authority: str) -> None:
    if not authority:
        raise UnacceptableError("it names no host")
    if "@" in authority:
        raise SecretError("everybody may read this file, so it must hold no name or password")
    found = _AUTHORITY.fullmatch(authority)
    if found is None or (found[2] and not 0 < int(found[2][1:]) < 65536):
        raise UnacceptableError("its host or port is not valid")


def converted(parse: Callable[[str], Parsed]) -> Callable[[object], Parsed]:
    """A string that `parse` understands; its ConfigError says what is wrong."""

    def convert(value: object) -> Parsed:
        written = text(value)
        try:
            return parse(written)
        except ConfigError as error:
            raise UnacceptableError(str(error)) from error

    return convert


def member(value: object) -> str:
    """Return the name of an account, or that of a group behind an "@"."""
    name = text(value)
    account_name(name.removeprefix("@"))
    return name


def hexadecimal(value: object) -> bytes:
    """Return the bytes that an even number of hexadecimal digits stands for, at least one byte."""
    try:
        parsed = bytes.fromhex(text(value))
    except ValueError:
        raise UnacceptableError from None
    if not parsed or len(parsed) * 2 != len(text(value)):
        raise UnacceptableError
    return parsed


def pattern(value: object) -> str:
    """A regular expression that pattern.py takes."""
    written = text(value)
    from pam_sc.pattern import compile_pattern  # only where a pattern is configured

    try:
        compile_pattern(written)
    except ValueError as error:
        raise UnacceptableError(ascii(str(error))[1:-1]) from error
    return written


def own_text(value: object) -> str:
    """One line of text for people, which may be empty."""
    written = text(value)
    if len(written) > OWN_TEXT_MAX:
        raise UnacceptableError(f"it has {len(written)} characters")
    return written


def settings_table(value: object) -> Parsed:
    """A table, which is read elsewhere."""
    if not isinstance(value, dict):
        raise TypeError
    return value
