# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenLDAP's slapd as an ordinary process: a folder of its own, free loopback ports, ended by its process alone."""

from __future__ import annotations

import base64
import contextlib
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.pki import Issued

SUFFIX = "dc=example,dc=test"
START_S = 20.0
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/libexec"
_CONF = """include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
access to * by * read
{more}
database mdb
suffix "{suffix}"
directory {folder}/db
"""
_ROOT = f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n"


@dataclass(frozen=True, slots=True)
class Directory:
    """A running slapd: its ports and its process."""

    process: subprocess.Popen[bytes]
    port: int
    tls_port: int

    def url(self, rest: str, *, scheme: str = "ldap", host: str = "127.0.0.1") -> str:
        """A URL of this directory."""
        return f"{scheme}://{host}:{self.port if scheme == 'ldap' else self.tls_port}/{rest}"


def crl_entry(name: str, *crls: bytes) -> str:
    """LDIF of a CRL distribution point below the suffix."""
    values = "".join(f"certificateRevocationList;binary:: {base64.b64encode(crl).decode()}\n" for crl in crls)
    return f"dn: cn={name},{SUFFIX}\nobjectClass: cRLDistributionPoint\ncn: {name}\n{values}"


@contextlib.contextmanager
def directory(folder: Path, entries: Sequence[str], *, tls: Issued | None = None, options: str = "") -> Iterator[Directory]:
    """Run slapd with these entries of LDIF; `options` are global lines of slapd.conf."""
    (folder / "db").mkdir(parents=True)
    conf = folder / "slapd.conf"
    conf.write_text(_CONF.format(folder=folder, suffix=SUFFIX, more=f"{options}\n{_tls_options(folder, tls)}"))
    ldif = folder / "entries.ldif"
    ldif.write_text("\n".join([_ROOT, *entries]))
    program = shutil.which("slapd", path=_PATH)
    assert program is not None, "slapd is missing (requirements/apt.txt)"
    add = [program, "-T", "add", "-f", str(conf), "-l", str(ldif)]
    subprocess.run(add, check=True, capture_output=True)
    port, tls_port = _free_port(), _free_port()
    names = f"ldap://127.0.0.1:{port}" + (f" ldaps://127.0.0.1:{tls_port}" if tls is not None else "")
    process = subprocess.Popen([program, "-f", str(conf), "-h", names, "-d", "0"], stderr=subprocess.DEVNULL)
    try:
        _wait_for(process, port)
        yield Directory(process, port, tls_port)
    finally:
        process.kill()
        process.wait()


def _tls_options(folder: Path, tls: Issued | None) -> str:
    if tls is None:
        return ""
    (folder / "server.crt").write_bytes(tls.pem)
    (folder / "server.key").write_bytes(tls.key_pem)
    return f"TLSCertificateFile {folder}/server.crt\nTLSCertificateKeyFile {folder}/server.key"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        select.select([], [], [], 0.02)  # it tells nobody when it listens
    raise RuntimeError(f"slapd does not listen: exit status {process.poll()}")
