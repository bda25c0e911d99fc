# SPDX-License-Identifier: LGPL-2.1-or-later
"""PKCS#11 modules with a token each in a world, made through PKCS#11 itself; keys are born on the token.

A maker sets up whatever the module wants (a software TPM, a database, a daemon) and names what a configuration of pam_sc
has to say: path, environment, allow list. What it starts ends with the world.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support import softhsm
from tests.support.installation import PREFIX
from tests.support.pam_world import HARNESS, World
from tests.support.pki import CertificateAuthority, Issued

PIN, SO_PIN, WRONG, NEW = "73205081", "87654321", "94857263", "11223344"
_PROBE = [f"{PREFIX}/bin/python3", "-I", f"{HARNESS}/tests/support/module_probe.py"]
_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib")


class ProbeError(Exception):
    """The module cannot do it."""


def library(name: str) -> str:
    """Where a shared object lies on this machine."""
    return next(f"{folder}/{name}" for folder in _LIBRARIES if Path(folder, name).exists())


@dataclass(frozen=True, slots=True)
class TokenKey:
    """The public half of a key that was born on a token: all that issuing a certificate needs."""

    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey

    def public_key(self) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
        """What a private key would answer."""
        return self.public


@dataclass(slots=True)
class ModuleInWorld:
    """A module with one token. `store` is what the card process must be able to write."""

    world: World
    path: str
    label: str | None
    environment: Mapping[str, str] = field(default_factory=dict)
    allow: Sequence[str] = ()
    store: Path | None = None
    pin: str = PIN
    so_pin: str = SO_PIN

    def ask(self, what: str, **more: Any) -> Any:
        """Have the probe do something in the world, as root; ProbeError if the module cannot."""
        order = {"do": what, "module": self.path, "label": self.label, "pin": self.pin, "so_pin": self.so_pin,
                 "wrong": WRONG, "new": NEW, **more}
        result = self.world.run(_PROBE, input=json.dumps(order), env=self.environment)
        if result.returncode != 0:
            raise ProbeError(result.stderr.strip().splitlines()[-1])
        return json.loads(result.stdout)

    def add(self, authority: CertificateAuthority, number: int, kind: str, *, account: str = "alice",
            always_authenticate: bool = False, private: bool = False) -> Issued:
        """Make a key on the token and write a certificate for it."""
        made = self.ask("make_key", id=number, kind=kind, always_authenticate=always_authenticate)
        issued = authority.issue(common_name=account, key=TokenKey(_public(made)))
        certificate = issued.certificate
        self.ask("write_certificate", id=number, private=private, der=issued.der.hex(),
                 subject=certificate.subject.public_bytes().hex(), issuer=certificate.issuer.public_bytes().hex(),
                 serial=_integer(certificate.serial_number).hex())
        self.hand_over()
        return issued

    def hand_over(self) -> None:
        """Give the store to the account of the card process."""
        card = self.world.account("pam_sc_card")
        for path in (self.store, *self.store.rglob("*")) if self.store is not None else ():
            os.chown(path, card.uid, card.gid)


def _public(made: Mapping[str, str]) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    if "modulus" in made:
        return rsa.RSAPublicNumbers(65537, int(made["modulus"], 16)).public_key()
    point = bytes.fromhex(made["point"])
    uncompressed = point[2:] if point[0] == 4 and point[1] == len(point) - 2 else point  # an OCTET STRING, or none
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), uncompressed)


def _integer(number: int) -> bytes:
    body = number.to_bytes(number.bit_length() // 8 + 1)
    return bytes([2, len(body)]) + body


def _initialized(made: ModuleInWorld) -> ModuleInWorld:
    made.ask("initialize")
    made.ask("set_pin")
    return made


def make_softhsm(world: World, name: str) -> ModuleInWorld:
    """SoftHSM with a folder of its own."""
    store = world.path(f"/srv/{name}/tokens")
    store.mkdir(parents=True)
    world.put(f"/srv/{name}/softhsm2.conf", f"directories.tokendir = /srv/{name}/tokens\nobjectstore.backend = file\n")
    environment = {"SOFTHSM2_CONF": f"/srv/{name}/softhsm2.conf"}
    return _initialized(ModuleInWorld(world, softhsm.module_path(), "login", environment, store=store))


def make_tpm(world: World, name: str) -> ModuleInWorld:
    """tpm2-pkcs11 with a software TPM, which is reached over the loopback interface: hence the allow list."""
    port = _start_swtpm(world, name)
    store = world.path(f"/srv/{name}/store")
    store.mkdir()
    environment = {"TPM2_PKCS11_STORE": f"/srv/{name}/store", "TPM2_PKCS11_TCTI": f"swtpm:host=127.0.0.1,port={port}",
                   "TSS2_LOG": "all+NONE", "TPM2_PKCS11_LOG_LEVEL": "0"}
    made = ModuleInWorld(world, library("libtpm2_pkcs11.so.1"), "login", environment, ["socket"], store)
    return _initialized(made)


def _start_swtpm(world: World, name: str) -> int:
    state = world.path(f"/srv/{name}/state")
    state.mkdir(parents=True)
    port, control = _free_pair()
    server = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl", f"type=tcp,port={control},bindaddr=127.0.0.1",
         "--server", f"type=tcp,port={port},bindaddr=127.0.0.1", "--flags", "not-need-init,startup-clear"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    world.on_close(lambda: (server.terminate(), server.wait()))
    _await(lambda: _listens(port), server)
    return port


def _free_pair() -> tuple[int, int]:
    """Two ports in a row, as the TPM's clients expect them: for commands and for control."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first, contextlib.suppress(OSError):
            port = int(first.getsockname()[1])
            with socket.create_server(("127.0.0.1", port + 1)):
                return port, port + 1


def _listens(port: int) -> bool:
    """Whether a server does, as the kernel's table says: a connection would be its one and only client."""
    return f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()


def _await(is_ready: Callable[[], bool], server: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 20
    while not is_ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("cannot start the server")
        time.sleep(0.02)


def make_nss(world: World, name: str) -> ModuleInWorld:
    """NSS's softokn, which wants parameters of its own at its start and gets them from p11-kit's proxy alone."""
    store = world.path(f"/srv/{name}/db")
    store.mkdir(parents=True)
    world.put(f"/srv/{name}/pin", f"{PIN}\n")
    world.run(["certutil", "-N", "-d", f"sql:/srv/{name}/db", "-f", f"/srv/{name}/pin"]).check_returncode()
    for other in Path("/usr/share/p11-kit/modules").glob("*.module"):
        world.put(f"/etc/pkcs11/modules/{other.name}", "enable-in: nothing\n")
    parameters = f"configdir='sql:/srv/{name}/db' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
    world.put("/etc/pkcs11/modules/nss.module", f"module: {library('libsoftokn3.so')}\nx-init-reserved: {parameters}\n")
    return ModuleInWorld(world, library("p11-kit-proxy.so"), "NSS Certificate DB", store=store)


def make_opencryptoki(world: World, name: str) -> ModuleInWorld:
    """opencryptoki's software token. Its daemon keeps shared memory: one for each machine, or IPC namespace."""
    shutil.copytree("/etc/opencryptoki", world.path("/etc/opencryptoki"))
    shutil.copytree("/var/lib/opencryptoki", world.path("/var/lib/opencryptoki"), dirs_exist_ok=True)
    groups = world.path("/etc/group").read_text()
    world.put("/etc/group", re.sub("^pkcs11:.*$", "pkcs11:x:112:pam_sc_card", groups, flags=re.MULTILINE))
    for folder in ("/run/lock/opencryptoki", "/run/lock/opencryptoki/swtok"):
        world.path(folder).mkdir(exist_ok=True)
    places = "/var/lib/opencryptoki /run/lock/opencryptoki"
    world.run(["sh", "-c", f"chgrp -R 112 {places}; chmod -R g+rwX {places}"]).check_returncode()
    daemon = world.namespace.popen(["pkcsslotd", "-f"], stdin=subprocess.DEVNULL)
    world.on_close(lambda: (daemon.terminate(), daemon.wait()))
    _await(world.path("/run/pkcsslotd.socket").exists, daemon)
    made = ModuleInWorld(world, library("pkcs11/libopencryptoki.so"), None)
    made.ask("initialize", label="login")
    made.label = "login"
    made.ask("set_pin")
    return made
