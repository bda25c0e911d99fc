# SPDX-License-Identifier: LGPL-2.1-or-later
"""An sshd in a world, on the loopback interface, that lets people in by keyboard-interactive through PAM and no other way."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.pam_world import World

_CONFIG = """Port {port}
ListenAddress 127.0.0.1
HostKey /etc/ssh/host_key
PidFile none
UsePAM yes
KbdInteractiveAuthentication yes
PasswordAuthentication no
PubkeyAuthentication no
"""
_CLIENT = ("-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
           "-o", "PreferredAuthentications=keyboard-interactive", "-o", "NumberOfPasswordPrompts=1")


@dataclass(frozen=True, slots=True)
class SshServer:
    """A running server."""

    port: int

    def client(self, account: str, command: str) -> list[str]:
        """The command line of a client that runs `command` as the account."""
        return ["ssh", "-q", "-p", str(self.port), *_CLIENT, f"{account}@127.0.0.1", command]


@contextmanager
def ssh_server(world: World) -> Iterator[SshServer]:
    """Start sshd in the world and end it by its number. Its PAM service is "sshd"."""
    port = _free_port()
    world.put("/etc/ssh/sshd_config", _CONFIG.format(port=port))
    world.path("/run/sshd").mkdir(exist_ok=True)
    world.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/host_key"]).check_returncode()
    process = world.namespace.popen(["/usr/sbin/sshd", "-D", "-f", "/etc/ssh/sshd_config"], stdin=subprocess.DEVNULL)
    try:
        world.syslog.wait_for("Server listening")
        yield SshServer(port)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
