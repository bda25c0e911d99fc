# SPDX-License-Identifier: LGPL-2.1-or-later
"""A /dev/log of one's own: what programs in a world say to syslog, in order and complete.

Programs send whole datagrams before they end, so a marker of our own that comes after them proves that everything
was read; no test needs to wait for a while.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"<(\d+)>(?:\w{3} [ \d]\d [\d:]{8} )?([^:\[]+)(?:\[\d+\])?: (.*)", re.DOTALL)
_SEVERITY_MASK = 7


@dataclass(frozen=True, slots=True)
class SyslogLine:
    """One line: facility and severity by number (10 is authpriv), the program that said it, and the text."""

    facility: int
    severity: int
    program: str
    text: str


def parse(datagram: bytes) -> SyslogLine:
    """Take a datagram of glibc's syslog() apart; what does not look like one becomes the text."""
    text = datagram.decode(errors="backslashreplace").rstrip("\0\n")
    match = _LINE.fullmatch(text)
    if match is None:
        return SyslogLine(0, 0, "", text)
    priority = int(match[1])
    return SyslogLine(priority >> 3, priority & _SEVERITY_MASK, match[2], match[3])


class SyslogSocket:
    """Listens as `log` in a folder that a namespace shows as /dev."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._address = self._bind(folder)
        self._lines: list[SyslogLine] = []
        self._news = threading.Condition()
        self._marker_seen = ""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _bind(self, folder: Path) -> Path:
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        address = Path(f"/proc/self/fd/{self._folder}/log")  # a socket's address has only 108 bytes
        self._socket.bind(str(address))
        (folder / "log").chmod(0o666)
        return address

    def _listen(self) -> None:
        while datagram := self._socket.recv(65536):
            with self._news:
                if datagram.startswith(b"marker "):
                    self._marker_seen = datagram.decode()
                else:
                    self._lines.append(parse(datagram))
                self._news.notify_all()

    def _send(self, text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), str(self._address))

    def lines(self) -> list[SyslogLine]:
        """Everything that was said before this call."""
        marker = f"marker {uuid.uuid4()}"
        self._send(marker)
        with self._news:
            if not self._news.wait_for(lambda: self._marker_seen == marker, timeout=10):
                raise RuntimeError("cannot read the syslog socket: the marker did not arrive")
            return list(self._lines)

    def wait_for(self, text: str, timeout_s: float = 10) -> SyslogLine:
        """The first line that contains `text`, as soon as there is one."""
        with self._news:
            if not self._news.wait_for(lambda: self._find(text) is not None, timeout=timeout_s):
                raise AssertionError(f"nothing said {text!r} to syslog; it has {self._lines!r}")
            found = self._find(text)
        assert found is not None
        return found

    def _find(self, text: str) -> SyslogLine | None:
        return next((line for line in self._lines if text in line.text), None)

    def clear(self) -> None:
        """Forget what was said so far."""
        self.lines()
        with self._news:
            self._lines.clear()

    def close(self) -> None:
        """Stop listening."""
        self._send("")
        self._thread.join(timeout=10)
        self._socket.close()
        os.close(self._folder)
