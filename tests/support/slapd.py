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
PEOPLE = f"ou=people,{SUFFIX}"
START_S = 20.0
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/libexec"
_CONF = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.24552.500.1.1.1.13 NAME 'sshPublicKey' EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.24552.500.1.1.2.0 NAME 'ldapPublicKey' SUP top AUXILIARY MAY ( sshPublicKey $ uid ) )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
access to * by * read
{more}
database mdb
suffix "{suffix}"
directory {folder}/db
{database}
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


def people(*entries: str) -> list[str]:
    """The folder of people, and these entries in it."""
    return [f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n", *entries]


def person(  # noqa: PLR0913 - what an entry may hold
    uid: str, *, number: int = 4001, cn: str | None = None, certificates: Sequence[bytes] = (), keys: Sequence[str] = (),
    mails: Sequence[str] = (), password: str | None = None, name: str | None = None, more: str = "",
) -> str:
    """LDIF of an account below PEOPLE. `name`: the value of its uid in the name of the entry, where it has another."""
    lines = [f"dn: cn={name or uid},{PEOPLE}", "objectClass: inetOrgPerson", "objectClass: posixAccount",
             "objectClass: ldapPublicKey", f"cn: {name or uid}", "sn: Example", f"uid: {uid}", f"uidNumber: {number}",
             f"gidNumber: {number}", f"homeDirectory: /home/{uid}"]
    lines += [f"cn: {cn}"] if cn else []
    lines += [f"userCertificate;binary:: {base64.b64encode(one).decode()}" for one in certificates]
    lines += [f"sshPublicKey: {one}" for one in keys] + [f"mail: {one}" for one in mails]
    lines += [f"userPassword: {password}"] if password else []
    return "\n".join(lines) + f"\n{more}"


def referral(name: str, to: str) -> str:
    """LDIF of a reference to another directory, below PEOPLE."""
    return (f"dn: cn={name},{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\ncn: {name}\nref: {to}\n")


@contextlib.contextmanager
def directory(  # noqa: PLR0913 - what a server may be told
    folder: Path, entries: Sequence[str], *, tls: Issued | None = None, options: str = "", database: str = "",
    client_ca: bytes | None = None,
) -> Iterator[Directory]:
    """Run slapd with these entries of LDIF; `options` are global lines of slapd.conf, `database` lines of its database.

    With `client_ca` a client may show a certificate of that CA.
    """
    (folder / "db").mkdir(parents=True)
    conf = folder / "slapd.conf"
    conf.write_text(_CONF.format(folder=folder, suffix=SUFFIX, more=f"{options}\n{_tls_options(folder, tls, client_ca)}",
                                 database=database))
    ldif = folder / "entries.ldif"
    ldif.write_text("\n".join([_ROOT, *entries]))
    program = shutil.which("slapd", path=_PATH)
    assert program is not None, "slapd is missing (requirements/apt.txt)"
    add = [program, "-T", "add", "-q", "-f", str(conf), "-l", str(ldif)]
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


def _tls_options(folder: Path, tls: Issued | None, client_ca: bytes | None) -> str:
    if client_ca is not None:
        (folder / "client-ca.crt").write_bytes(client_ca)
    asked = "" if client_ca is None else f"TLSCACertificateFile {folder}/client-ca.crt\nTLSVerifyClient try"
    if tls is None:
        return ""
    (folder / "server.crt").write_bytes(tls.pem)
    (folder / "server.key").write_bytes(tls.key_pem)
    return f"TLSCertificateFile {folder}/server.crt\nTLSCertificateKeyFile {folder}/server.key\n{asked}"


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
