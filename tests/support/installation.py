# SPDX-License-Identifier: LGPL-2.1-or-later
"""The installed pam_sc of this environment, in a place that it accepts to be run from.

pam_sc runs nothing and believes no file that somebody else could have changed. A clone may lie in such a place (a
folder its group can write, or one that is closed to others); then a copy is used, which goes with this process.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

PREFIX = "/opt/pam_sc"
"""Where pam_sc lies in a world, and on a machine after `make install`."""
PAM_SC = [f"{PREFIX}/bin/python3", "-I", "-c", "from pam_sc.cli.main import main; main()"]
"""The command in a world. Not the script: its first line names the clone, where the world's accounts may not look."""
_NATIVE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages/pam_sc/native"


def module_in(prefix: str | Path = PREFIX) -> str:
    """The PAM module of an environment."""
    return f"{prefix}/{_NATIVE}/pam_sc.so"


def worker_in(prefix: str | Path = PREFIX) -> str:
    """The worker of an environment."""
    return f"{prefix}/{_NATIVE}/pam_sc_worker"


def is_installed(prefix: Path | None = None) -> bool:
    """Say whether pam_sc with its native parts is in an environment, this one unless told otherwise."""
    return all(Path(find(prefix or sys.prefix)).exists() for find in (module_in, worker_in))


def is_trusted_by(uid: int, path: Path) -> bool:
    """Say whether nobody but root and `uid` can change what lies at `path`, by any folder above it."""
    return all(_is_safe(place, uid) for place in (path, *path.resolve().parents))


def _is_safe(path: Path, uid: int) -> bool:
    about = path.stat()
    if about.st_uid not in {0, uid}:
        return False
    writable = bool(about.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    return not writable or (about.st_uid == 0 and bool(about.st_mode & stat.S_ISVTX))


def _is_open(path: Path) -> bool:
    """Say whether everybody may look into a folder: a umask of 077 makes others."""
    return path.stat().st_mode & 0o005 == 0o005


@functools.cache
def installed_for(uid: int, prefix: Path | None = None) -> Path:
    """The environment itself if `uid` can run it, else a copy of it that `uid`, the owner of this process, can run.

    For root only the environment's own folders count: a world shows them in another place, and to its accounts too.
    """
    prefix = prefix or Path(sys.prefix)
    inside = [prefix, *prefix.glob("lib/python3*/site-packages/**/")]
    fits = all(_is_safe(path, uid) for path in inside)
    if fits and (all(_is_open(path) for path in inside) if uid == 0 else is_trusted_by(uid, prefix)):
        return prefix
    return _copied("prefix", prefix)


@functools.cache
def installed_for_all() -> Path:
    """The environment itself if every account can run it as it lies there, else a copy that every account can run."""
    prefix = installed_for(os.geteuid())
    return prefix if all(map(_is_open, prefix.resolve().parents)) else _copied("prefix", prefix)


@functools.cache
def harness_for_all(repository: Path) -> Path:
    """A copy of what the accounts of a world run of the tests: the clone itself may be nobody's but its owner's."""
    return _copied("harness", repository / "tests", repository / "tools", below=True)


def _copied(name: str, *folders: Path, below: bool = False) -> Path:
    """The content of the folders (or, with `below`, the folders) for everybody to read and for nobody else to write."""
    copy = own_folder(name)
    for folder in folders:
        subprocess.run(["cp", "-R", "-P", str(folder) if below else f"{folder}/.", str(copy)], check=True)
    subprocess.run(["chmod", "-R", "a+rX,go-w", str(copy)], check=True)
    return copy


def own_folder(name: str) -> Path:
    """A folder that only this user can write, gone when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"pam_sc-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    return folder
