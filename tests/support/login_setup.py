# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an administrator sets up for card logins: a CA that is trusted, its CRL, software cards and configurations.

`LoginSetup` writes into one folder, which the logins may see under another name (in a world); each card gets a
configuration of its own, so that a PAM service picks the card by its `config=`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import softhsm
from tests.support.pki import CertificateAuthority, Issued
from tests.support.softhsm import Entry, SoftToken


def configuration(*, module: str, folder: str, environment: Mapping[str, str] | None = None, top: str = "",
                  more: str = "", run_as: str | None = None, revocation: str | None = None) -> str:
    """A configuration with anchors and CRLs under `folder` and the mapper cn.

    `top` is put where keys without a table stand, `more` at the end; `revocation` is all that stands in that table
    (else the CRLs of the folder).
    """
    checked = f'crls = "{folder}/crls"' if revocation is None else revocation
    variables = ", ".join(f'{name} = "{value}"' for name, value in (environment or {}).items())
    token = f'[token]\nrun_as = "{run_as}"\n' if run_as else ""
    return f"""{top}
[[token.module]]
path = "{module}"
environment = {{ {variables} }}
{token}
[trust]
anchors = "{folder}/anchors"
[revocation]
{checked}
[[mapper]]
name = "cn"
{more}
"""


@dataclass(slots=True)
class LoginSetup:
    """One trusted CA with a CRL. `folder` is where things are written, `inside` the same folder as logins see it."""

    folder: Path
    inside: str
    card_owner: tuple[int, int] | None = None
    """Who must be able to write a software card's files: whoever the card process runs as."""
    authority: CertificateAuthority = field(default_factory=lambda: CertificateAuthority("Example CA"))

    def __post_init__(self) -> None:
        for name in ("anchors", "crls", "cards"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name).chmod(0o755)
        self.folder.chmod(0o755)
        (self.folder / "anchors" / "ca.pem").write_bytes(self.authority.pem)
        self.revoke()

    def revoke(self, *certificates: Issued) -> None:
        """Publish a CRL that lists these certificates and no others."""
        (self.folder / "crls" / "ca.crl").write_bytes(self.authority.crl(certificates))

    def card(self, name: str, entries: Sequence[Entry | Issued], *, top: str = "", more: str = "",
             revocation: str | None = None) -> str:
        """Make a SoftHSM token and a configuration that uses it; return the configuration's path for `config=`."""
        token = self.token(name, entries)
        return self.configure(name, module=softhsm.module_path(), environment={"SOFTHSM2_CONF": token.configuration},
                              top=top, more=more, revocation=revocation)

    def token(self, name: str, entries: Sequence[Entry | Issued]) -> SoftToken:
        """Make a SoftHSM token with these certificates and their keys."""
        whole = [entry if isinstance(entry, Entry) else Entry(entry, id=bytes([number]))
                 for number, entry in enumerate(entries, 1)]
        return softhsm.create_token(self.folder / "cards" / name, whole, inside=f"{self.inside}/cards/{name}",
                                    owner=self.card_owner)

    def configure(self, name: str, *, module: str, environment: Mapping[str, str] | None = None, top: str = "",
                  more: str = "", revocation: str | None = None) -> str:
        """Write a configuration that uses a PKCS#11 module; return its path as logins see it."""
        text = configuration(module=module, folder=self.inside, environment=environment, top=top, more=more,
                             revocation=revocation)
        (self.folder / f"{name}.toml").write_text(text)
        (self.folder / f"{name}.toml").chmod(0o644)
        return f"{self.inside}/{name}.toml"
