# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write a file that everybody may read and nobody else may change: whole or not at all, and never over another.

The content is written beside the place and then moved there, so that no reader ever sees a part of it. A symbolic link
that lies there is never followed.
"""

from __future__ import annotations

import os
import secrets

from pam_sc.errors import PamScError

MODE = 0o644


def write_new_file(path: str, content: str, *, force: bool) -> None:
    """Write the file with mode 0644; PamScError if there is one already, unless `force` replaces it."""
    folder, name = os.path.split(os.path.abspath(path))
    beside = os.path.join(folder, f".{name}.{secrets.token_hex(8)}")
    try:
        _write(beside, content.encode())
        try:
            _put(beside, os.path.join(folder, name), force=force)
        finally:
            if os.path.lexists(beside):
                os.unlink(beside)
    except FileExistsError as error:
        raise PamScError(f"cannot write {path!r}: it is there already; name another, or say --force") from error
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise PamScError(f"cannot write {path!r}: {cause}") from error


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fchmod(descriptor, MODE)
        os.fsync(descriptor)


def _put(beside: str, path: str, *, force: bool) -> None:
    if not force:
        os.link(beside, path)  # fails where something lies there, which rename would replace
        return
    if os.path.isdir(path) and not os.path.islink(path):
        raise IsADirectoryError(21, "it is a folder")
    os.rename(beside, path)
