# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's other PAM modules for smart cards, set up in a world beside pam_sc: what is compared with, never relied on."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.login_setup import LoginSetup
from tests.support.pam_world import World
from tests.support.pki import Issued
from tests.support.softhsm import PIN

_PAM_PKCS11 = """pam_pkcs11 {{
  nullok = false;
  debug = false;
  use_pkcs11_module = card;
  pkcs11_module card {{
    module = {module};
    slot_num = 0;
    ca_dir = {folder}/cacerts;
    crl_dir = {folder}/crls;
    cert_policy = {policy};
    token_type = "card";
  }}
  use_mappers = cn;
  mapper cn {{
    debug = false;
    module = internal;
    ignorecase = {ignore_case};
    mapfile = {mapfile};
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PamPkcs11:
    """One set-up of pam_pkcs11 in a world: its own hashed folders of CAs and CRLs, its own configuration file.

    The account is the common name, or what a mapfile says of it. The token is the one that SOFTHSM2_CONF of the login
    names.
    """

    world: World
    name: str
    module: str
    policy: str = "ca,crl_offline,signature"
    mapfile: str | None = None
    """A path inside the world."""
    ignore_case: bool = False

    @property
    def folder(self) -> str:
        """Where its files lie."""
        return f"/srv/peers/{self.name}"

    def set_up(self, authorities: Sequence[bytes], crls: Sequence[bytes] = ()) -> str:
        """Write folders (PEM in, hash-named out), configuration and a PAM service, whose name is returned."""
        for kind in ("cacerts", "crls"):
            self.world.path(f"{self.folder}/{kind}").mkdir(parents=True)
        for data in authorities:
            self._put("cacerts", data, ["openssl", "x509", "-noout", "-hash"], "")
        for data in crls:
            self._put("crls", data, ["openssl", "crl", "-noout", "-hash"], "r")
        text = _PAM_PKCS11.format(module=self.module, folder=self.folder, policy=self.policy,
                                  ignore_case=str(self.ignore_case).lower(),
                                  mapfile=f"file://{self.mapfile}" if self.mapfile else "none")
        config = self.world.put(f"{self.folder}/pam_pkcs11.conf", text)
        self.world.pam_service(self.name, [f"required pam_pkcs11.so config_file={config}"])
        return self.name

    def _put(self, kind: str, data: bytes, hash_command: Sequence[str], letter: str) -> None:
        name = subprocess.run(hash_command, input=data, capture_output=True, check=True).stdout.decode().strip()
        taken = len(list(self.world.path(f"{self.folder}/{kind}").glob(f"{name}.{letter}*")))
        self.world.put(f"{self.folder}/{kind}/{name}.{letter}{taken}", data)

    def login(self, environment: dict[str, str], *, timeout: float = 30) -> int:
        """Log alice in with the right PIN; 0 is a success, a negative number a signal. TimeoutExpired if it hangs.

        The application itself gets the signal of a crash, and is what is killed when the time is over.
        """
        command = ["pamtester", self.name, "alice", "authenticate"]
        return self.world.run(command, input=f"{PIN}\n", env=environment, timeout=timeout).returncode


def set_up_pam_pkcs11(world: World, setup: LoginSetup, module: str, name: str = "pam_pkcs11") -> PamPkcs11:
    """pam_pkcs11 with this PKCS#11 module, the CA and the CRL of a set-up."""
    peer = PamPkcs11(world=world, name=name, module=module)
    peer.set_up([(setup.folder / "anchors/ca.pem").read_bytes()], [(setup.folder / "crls/ca.crl").read_bytes()])
    return peer


def set_up_pam_p11(world: World, issued: Issued, account: str) -> None:
    """pam_p11 knows no CA: it believes the certificates in a file of the account. The module is its PAM argument."""
    world.put(f"/home/{account}/.eid/authorized_certificates", issued.pem, owner=account)
