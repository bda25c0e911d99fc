# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lines from a process, each waited for with a limit. A buffered file would hide from select what it has read already."""

from __future__ import annotations

import os
import select
import time
from typing import IO


class Lines:
    """The lines of a pipe."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._bytes = b""
        self._ended = False

    def is_ready(self, within_s: float) -> bool:
        """Whether a whole line, or the end, is there within this time."""
        deadline = time.monotonic() + within_s
        while b"\n" not in self._bytes and not self._ended:
            if not select.select([self._stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return False
            piece = os.read(self._stream.fileno(), 65536)
            self._ended = not piece
            self._bytes += piece
        return True

    def next(self, within_s: float) -> str:
        """The next line; "" at the end, or where none comes in time."""
        if not self.is_ready(within_s) or b"\n" not in self._bytes:
            return ""
        line, _, self._bytes = self._bytes.partition(b"\n")
        return line.decode()
