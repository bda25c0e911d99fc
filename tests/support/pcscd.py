# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pcscd of one's own with a virtual reader of two slots, in private network and mount namespaces.

The reader's port accepts anybody who reaches it, therefore it exists only in the network namespace of this daemon.
Clients find the daemon through its socket: in a world at the usual place, elsewhere with PCSCLITE_CSOCK_NAME.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.namespace import CLEAN_ENVIRONMENT
from tests.support.piv_card import PivApplet, VirtualCard

OPENSC_MODULES = ("/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so", "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so")
READER = "Virtual PCD 00 00"
"""What the reader is called in PC/SC."""
SECOND_READER = "Virtual PCD 00 01"
"""Its second slot, which is a reader of its own for PC/SC. Nothing is in it unless a test puts a card there."""
READERS = (READER, SECOND_READER)
_PORT = 35963
_READER_FILE = f"""FRIENDLYNAME "Virtual PCD"
DEVICENAME /dev/null:{_PORT:#06X}
LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so
CHANNELID {_PORT:#06X}
""".replace("0X", "0x")
# There is no bus to ask polkit over; a pcscd that then refuses everybody can be told not to ask.
_SETUP = """set -e
mount --bind "$1" /run
case $(pcscd --help 2>&1) in *--disable-polkit*) no_polkit=--disable-polkit ;; esac
[ -z "$3" ] || export LD_PRELOAD="$3"
exec pcscd --foreground --info --config "$2" ${no_polkit:-}
"""
_LOG_SHOWN = 8000
_INSERTED, _REMOVED = "Card inserted into", "Card Removed From"
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # netdevice(7)


def opensc_module() -> str:
    """Where OpenSC's PKCS#11 module lies on this machine."""
    return next(path for path in OPENSC_MODULES if Path(path).exists())


class Pcscd:
    """The daemon. `run` is the folder that it, and a world that shares it, sees as /run."""

    def __init__(self, run: Path, folder: Path, *, quick: bool = False) -> None:
        """`quick`: it looks at its readers every 40 ms, and not every 400."""
        (run / "pcscd").mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True)  # holds the log too: not in reader.d, all of which is read as configuration
        (folder / "reader.d").mkdir()
        self._run, self._folder, self._preloaded = run, folder, _build_quick_reader(folder) if quick else ""
        self.socket = run / "pcscd" / "pcscd.comm"
        self._log = (folder / "pcscd.log").open("wb")
        self._cards: list[VirtualCard] = []
        self.start()

    def start(self, *, readers: bool = True) -> None:
        """Start the daemon, after `kill` or `stop_daemon` as well, with its readers or without any."""
        reader_file = self._folder / "reader.d" / "vpcd"
        reader_file.write_text(_READER_FILE if readers else "")
        self.socket.unlink(missing_ok=True)
        self._said_before = len(self.log(None))
        self._process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", _SETUP, "pcscd",
             str(self._run), str(reader_file.parent), self._preloaded],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=dict(CLEAN_ENVIRONMENT))
        try:
            self._await_start(readers=readers)
        except BaseException:
            self.stop()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """What a client outside of a world needs in its environment."""
        return {"PCSCLITE_CSOCK_NAME": str(self.socket)}

    def card(self, applet: PivApplet, reader: str = READER) -> VirtualCard:
        """A card for this reader, not yet inserted."""
        port = _PORT + (reader == SECOND_READER)
        card = VirtualCard(applet, lambda: self._connect(port), lambda: self.await_removal(reader))
        self._cards.append(card)
        return card

    def log(self, shown: int | None = _LOG_SHOWN) -> str:
        """The end of what the daemon said so far, or all of it."""
        return Path(self._log.name).read_text(errors="replace")[-(shown or 0):]

    def await_removal(self, reader: str = READER) -> None:
        """Return when the daemon has seen that the reader is empty: until then it still talks to the card that went."""
        self._await_seen(reader, present=False)

    def await_insertion(self, reader: str = READER) -> None:
        """Return when the daemon has seen that a card is in the reader."""
        self._await_seen(reader, present=True)

    def _await_seen(self, reader: str, *, present: bool) -> None:
        deadline = time.monotonic() + 20
        while present != (self._seen(_REMOVED, reader) < self._seen(_INSERTED, reader)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"pcscd sees no {'insertion' if present else 'removal'}: {self.log()}")
            time.sleep(0.02)  # the log of another process has no event

    def _seen(self, what: str, reader: str) -> int:
        return self.log(None)[self._said_before :].count(f"{what} {reader}")

    def kill(self) -> None:
        """End the daemon as a crash does; the cards lose their power."""
        self._process.kill()
        self._process.wait()
        for card in self._cards:
            card.remove()

    def stop_daemon(self) -> None:
        """Take the cards out and end the daemon."""
        for card in self._cards:
            card.remove()
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """The same, for good."""
        self.stop_daemon()
        self._log.close()

    def _await_start(self, *, readers: bool) -> None:
        deadline = time.monotonic() + 20
        exited = os.pidfd_open(self._process.pid)
        try:
            while not self.socket.exists() or (readers and not self._listens()):
                # there is no event for "the daemon listens": look, and end at once if it died
                if select.select([exited], [], [], 0.02)[0] or time.monotonic() > deadline:
                    raise RuntimeError(f"cannot start pcscd: {self.log()}")
        finally:
            os.close(exited)

    def _listens(self) -> bool:
        table = Path(f"/proc/{self._process.pid}/net/tcp").read_text()
        return any(line.split()[1].endswith(f":{_PORT:04X}") for line in table.splitlines()[1:])

    def _connect(self, port: int) -> socket.socket:
        made: list[socket.socket | OSError] = []
        thread = threading.Thread(target=lambda: made.append(_connect_in_namespace(self._process.pid, port)))
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()


def _build_quick_reader(folder: Path) -> str:
    source, built = Path(__file__).with_name("quick_reader.c"), folder / "quick_reader.so"
    subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", str(built),
                    str(source), "-ldl"], check=True)
    return str(built)


def _connect_in_namespace(pid: int, port: int) -> socket.socket | OSError:
    """Connect to the reader. The calling thread stays in the namespace of `pid`: use one that ends afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter the reader's network namespace")
        _start_loopback()
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    except OSError as error:
        return error
    finally:
        os.close(namespace)


def _start_loopback() -> None:
    """Set the loopback interface of the calling thread's network namespace up; a new namespace has it down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
