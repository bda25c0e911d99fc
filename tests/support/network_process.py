# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real network process in its real sandbox, as an account without privilege, for a client in the test.

It runs from a tree of its own below /tmp, which every account can read.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pam_sc.decision.reasons import Reason
from pam_sc.network.client import NetworkClient
from pam_sc.network.search_messages import Refused
from pam_sc.services import DirectoryEntry, DirectorySearch
from pam_sc.transfer import Outcome, Transfer, TransferFailed, Transferred
from tests.support.worker_tree import NOBODY, WorkerTree, worker_tree

SOON_S = 20.0
"""For a transfer that is to succeed on a busy machine; one that waits for a deadline gives its own, shorter one."""


@contextlib.contextmanager
def network_tree() -> Iterator[WorkerTree]:
    """A tree with the installed package and what the network process imports beside it."""
    with worker_tree() as tree:
        for name in ("pam_sc", "ldap3", "pyasn1"):
            found = importlib.util.find_spec(name)
            assert found is not None
            source = Path(str(found.origin)).parent
            shutil.copytree(source, tree.root / "site-packages" / source.name, dirs_exist_ok=True, symlinks=False,
                            ignore=shutil.ignore_patterns("native"))
        yield tree


@dataclass(frozen=True, slots=True)
class Network:
    """A network process and its client."""

    process: subprocess.Popen[bytes]
    client: NetworkClient

    def fetch(self, wanted: Transfer | str, *, seconds: float = SOON_S, **options: Any) -> Outcome:
        """Carry out one transfer; a URL stands for one of the configuration with a cap of 1 MiB."""
        return self.fetch_all([wanted], seconds=seconds, **options)[0]

    def fetch_all(self, wanted: Sequence[Transfer | str], *, seconds: float = SOON_S, **options: Any) -> tuple[Outcome, ...]:
        """Carry out some."""
        transfers = [configured(one) if isinstance(one, str) else one for one in wanted]
        return self.client.transfer(transfers, time.monotonic() + seconds, **options)

    def body(self, wanted: Transfer | str, **options: Any) -> bytes:
        """The body of a transfer that succeeds."""
        outcome = self.fetch(wanted, **options)
        assert isinstance(outcome, Transferred), outcome
        return outcome.body

    def failure(self, wanted: Transfer | str, **options: Any) -> str:
        """Why a transfer fails."""
        outcome = self.fetch(wanted, **options)
        assert isinstance(outcome, TransferFailed), outcome
        return outcome.why

    def search(self, wanted: DirectorySearch, *, seconds: float = SOON_S) -> tuple[DirectoryEntry, ...]:
        """The entries that a search finds."""
        found = self.client.search(wanted, time.monotonic() + seconds)
        assert not isinstance(found, Refused), found
        return found

    def refusal(self, wanted: DirectorySearch, *, seconds: float = SOON_S) -> tuple[Reason, str]:
        """Why a search comes to nothing."""
        found = self.client.search(wanted, time.monotonic() + seconds)
        assert isinstance(found, Refused), found
        return found.reason, found.why


def configured(url: str, **changes: Any) -> Transfer:
    """A transfer that the administrator wants."""
    return Transfer(**{"url": url, "max_bytes": 1 << 20, "configured": True, **changes})


def by_certificate(url: str, **changes: Any) -> Transfer:
    """A transfer whose URL stands in a certificate."""
    return configured(url, configured=False, **changes)


@contextlib.contextmanager
def started(argv: Sequence[str], **identity: Any) -> Iterator[Network]:
    """Run a command whose descriptor 3 is the network channel; it is dead afterwards."""
    ours, theirs = socket.socketpair()

    def place() -> None:
        os.dup2(theirs.fileno(), 3)

    process = subprocess.Popen(argv, preexec_fn=place, pass_fds=(3,), stdin=subprocess.DEVNULL,
                               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}, **identity)
    theirs.close()
    client = NetworkClient(ours)
    try:
        yield Network(process, client)
    finally:
        client.close()
        process.kill()
        process.wait()


def without_privilege() -> dict[str, Any]:
    """How the process is started as an account without privilege: our own, or a drop where that is root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
