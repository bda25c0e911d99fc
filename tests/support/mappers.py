# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mappers as a configuration makes them, for tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pam_sc.mapping import Mapper, load_mappers


def made(name: str, **table: Any) -> Mapper:
    """The mapper of this name; ConfigError as for a login."""
    return load_mappers([(name, table, "here")], frozenset({0, os.getuid()}))[0].mapper


def mapfile(folder: Path, content: str) -> str:
    """The path of a mapfile with this content."""
    path = folder / "map"
    path.write_text(content)
    path.chmod(0o644)
    return str(path)
