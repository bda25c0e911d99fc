# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's other PAM modules for smart cards, set up in a world beside pam_sc: what the measurements compare with."""

from __future__ import annotations

import subprocess

from tests.support.login_setup import LoginSetup
from tests.support.pam_world import World
from tests.support.pki import Issued

_PAM_PKCS11 = """pam_pkcs11 {{
  nullok = false;
  debug = false;
  use_pkcs11_module = card;
  pkcs11_module card {{
    module = {module};
    slot_num = 0;
    ca_dir = {folder}/peer/cacerts;
    crl_dir = {folder}/peer/crls;
    cert_policy = ca,crl_offline,signature;
    token_type = "card";
  }}
  use_mappers = cn;
  mapper cn {{
    debug = false;
    module = internal;
    ignorecase = false;
    mapfile = none;
  }}
}}
"""


def set_up_pam_pkcs11(world: World, setup: LoginSetup, module: str) -> None:
    """pam_pkcs11 with this PKCS#11 module and hashed folders of the same CA and CRL; the account is the cn."""
    for kind, source, suffix in (("cacerts", "anchors/ca.pem", "0"), ("crls", "crls/ca.crl", "r0")):
        data = (setup.folder / source).read_bytes()
        command = ["openssl", "crl" if suffix == "r0" else "x509", "-noout", "-hash"]
        name = subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().strip()
        world.put(f"{setup.inside}/peer/{kind}/{name}.{suffix}", data)
    world.put("/etc/pam_pkcs11/pam_pkcs11.conf", _PAM_PKCS11.format(module=module, folder=setup.inside))


def set_up_pam_p11(world: World, issued: Issued, account: str) -> None:
    """pam_p11 knows no CA: it believes the certificates in a file of the account. The module is its PAM argument."""
    world.put(f"/home/{account}/.eid/authorized_certificates", issued.pem, owner=account)
