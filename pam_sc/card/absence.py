# SPDX-License-Identifier: LGPL-2.1-or-later
"""Why a module shows no token: files that this account may not read, a card service that is down, or no reader.

Asked only after the process has become the account it runs as, and only where nothing usable was found. It looks at
file permissions and at pcscd's socket; it reads no token and believes nothing of what it sees for a login.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator, Mapping

from pam_sc.card.text import clean_text
from pam_sc.decision.card_report import Failure
from pam_sc.decision.reasons import Reason

_SOFTHSM_DEFAULT = "/etc/softhsm/softhsm2.conf"
_PCSCD_SOCKET = "/run/pcscd/pcscd.comm"
_MAX_CONFIGURATION = 64 * 1024
_MAX_FILES = 4096


def why_no_token(path: str, environment: Mapping[str, str], *, any_slot: bool) -> Failure | None:
    """The reason why the module at `path` shows no token, or None if there is a slot and it is simply empty."""
    hidden = hidden_path(path, environment)
    if hidden is not None:
        return Failure(Reason.TOKEN_HIDDEN, clean_text(f"uid {os.geteuid()} may not read {hidden}"))
    if any_slot:
        return None
    service = os.environ.get("PCSCLITE_CSOCK_NAME", _PCSCD_SOCKET)
    cause = _cannot_connect(service)
    if cause is not None:
        return Failure(Reason.CARD_SERVICE_DOWN, clean_text(f"{service}: {cause}"))
    return Failure(Reason.NO_READER, "the module shows no slot")


def hidden_path(path: str, environment: Mapping[str, str]) -> str | None:
    """The first file or folder of the module's environment that exists, but not for this account."""
    values = list(environment.values())
    if os.path.basename(path).startswith("libsofthsm2") and "SOFTHSM2_CONF" not in environment:
        values.append(_SOFTHSM_DEFAULT)
    for value in values:
        if value.startswith("/"):
            for candidate in _files_of(value):
                if _is_hidden(candidate):
                    return candidate
    return None


def _files_of(value: str) -> Iterator[str]:
    yield value
    for line in _lines(value):
        key, _, folder = line.partition("=")
        if key.strip() == "directories.tokendir":
            yield from _tree(folder.strip())


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb", opener=_open_quietly) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return []
            return file.read(_MAX_CONFIGURATION).decode("utf-8", "replace").splitlines()
    except OSError:
        return []  # a file that is not there is not hidden; one that is hidden was found before


def _open_quietly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _tree(folder: str) -> Iterator[str]:
    """The token folder, the folders of the tokens, and their files."""
    yield folder
    seen = 0
    for where, folders, files in os.walk(folder):
        for name in (*sorted(folders), *sorted(files)):
            seen += 1
            if seen > _MAX_FILES:
                return
            yield os.path.join(where, name)


def _is_hidden(path: str) -> bool:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK | (os.X_OK if is_folder else 0))


def _cannot_connect(path: str) -> str | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(path)
        except OSError as error:
            return error.strerror or str(error)
    return None
