# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logins in a rig with a pam_pkcs11.conf: through pam_sc with the file, with what is written from it, and through the peer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from pam_sc.config.migration import migrated
from pam_sc.config.pam_pkcs11 import translate
from tests.support.installation import module_in
from tests.support.pam_host import Answer, Login, Outcome
from tests.support.peer_configurations import configuration
from tests.support.pki import Issued
from tests.support.rig import INSIDE, PROGRAM, Rig, reason
from tests.support.softhsm import PIN, Entry, module_path

CA_FILE, CRL_FILE = f"{INSIDE}/anchors/ca.pem", f"{INSIDE}/crls/ca.crl"
SLOT = "slot_num = 0;"
"""Which pam_pkcs11 of Debian cannot do without."""
OFFLINE = "cert_policy = ca,signature,crl_offline;"
_NUMBERS = itertools.count()


def conf(  # noqa: PLR0913 - what such a file is made of
    rig: Rig, entries: Sequence[Entry | Issued], *, block: str = OFFLINE, mappers: str = "cn", blocks: str = "",
    top: str = "", ca_dir: str = CA_FILE, crl_dir: str = CRL_FILE,
) -> str:
    """A card with these certificates, and the path of a pam_pkcs11.conf for it that pam_pkcs11 reads too."""
    name = f"vector{next(_NUMBERS)}"
    token = rig.setup.token(name, entries)
    text = configuration(
        module=module_path(), block=f'{SLOT} {block}\n    environment = "SOFTHSM2_CONF={token.configuration}";', mappers=mappers,
        blocks=blocks, top=top, ca_dir=ca_dir, crl_dir=crl_dir,
    )  # fmt: skip
    return rig.world.put(f"/etc/pam_pkcs11/{name}.conf", text)


def rewritten(rig: Rig, path: str) -> str:
    """The path of the pam_sc.toml that is written from a file."""
    text = rig.world.path(path).read_text()
    translation = translate(text, path, exists=lambda inside: rig.world.path(inside).exists())
    return rig.world.put(path.replace(".conf", ".toml"), migrated(translation, path))


def attempt(
    rig: Rig, path: str, *arguments: str, account: str | None = "alice", answers: Sequence[Answer] = (PIN,),
    name: str = "vector", caller_environment: dict[str, str] | None = None,
) -> Outcome:  # fmt: skip
    """Log in with `pam_sc.so config_file=...`."""
    rig.world.pam_service(name, [" ".join(["required", module_in(), f"config_file={path}", *arguments]),
                                 "required pam_permit.so"])  # fmt: skip
    login = Login(service=name, user=account, answers=answers, confdir="/etc/pam.d")
    return login.run(lambda argv, text: rig.world.run(argv, input=text, env=caller_environment), program=PROGRAM)


def decided(rig: Rig, path: str, **how: object) -> tuple[int, str | None]:
    """Code and reason, which the file itself and what is written from it must share."""
    outcomes = [attempt(rig, path, **how)]  # type: ignore[arg-type]
    if "pin-wrong" in (reason(outcomes[0]) or ""):
        attempt(rig, path)  # the right PIN: else the card remembers, and the second question says so
    outcomes.append(attempt(rig, rewritten(rig, path), **how))  # type: ignore[arg-type]
    found = [(outcome.code, reason(outcome), outcome.user, outcome.said) for outcome in outcomes]
    assert found[0] == found[1], "the two files decide differently"
    return outcomes[0].code, reason(outcomes[0])


def theirs(rig: Rig, path: str, *arguments: str) -> bool:
    """Whether pam_pkcs11 grants alice a login with the very same file, and these arguments on its PAM line."""
    if rig.world.run(["find", "/usr/lib", "-name", "pam_pkcs11.so"]).stdout == "":
        pytest.skip("libpam-pkcs11 cannot be installed on this distribution")
    rig.world.pam_service("peer", [" ".join(["required pam_pkcs11.so", f"config_file={path}", *arguments])])
    text = rig.world.path(path).read_text()
    variable = text.partition("SOFTHSM2_CONF=")[2].partition('"')[0]
    done = rig.world.run(["pamtester", "peer", "alice", "authenticate"], input=f"{PIN}\n", env={"SOFTHSM2_CONF": variable})
    assert done.returncode in (0, 1), f"pam_pkcs11 ended with {done.returncode}"
    return done.returncode == 0


def named(common_name: str) -> bytes:
    """A DER Name whose commonName holds exactly these characters."""
    placeholder = "x" * len(common_name)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, placeholder)])
    return name.public_bytes().replace(placeholder.encode(), common_name.encode())
