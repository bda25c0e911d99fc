# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine with one trusted CA whose CRL lies on a server: where `pam-sc refresh` and `pam-sc store` are run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pam_sc.decision.names import name_key
from pam_sc.errors import StoreError
from pam_sc.trust.store import Store, open_store
from tests.support.crl_server import CrlServer
from tests.support.installation import PAM_SC
from tests.support.login_setup import LoginSetup
from tests.support.pam_world import World
from tests.support.pki import CertificateAuthority
from tests.support.stores import TRUSTED

STORE = "/var/lib/pam_sc/revocation"
LISTED = 4711
ISSUER = name_key(CertificateAuthority("Example CA").subject)


class Site:
    """A machine with one trusted CA, whose CRL lies on a server."""

    def __init__(self, world: World, server: CrlServer) -> None:
        self.world = world
        self.server = server
        self.setup = LoginSetup(world.path("/srv/site"), "/srv/site")
        (world.path("/srv/site/crls/ca.crl")).unlink()
        self.authority = self.setup.authority
        self.config = self.configure()

    def configure(self, *lines: str, sources: Sequence[str] | None = None, more: str = "") -> str:
        """Write the configuration: [revocation] with these lines."""
        urls = [self.server.url()] if sources is None else sources
        module = "/usr/lib/softhsm/libsofthsm2.so"
        text = "\n".join([
            "[[token.module]]", f'path = "{module}"', "[trust]", 'anchors = "/srv/site/anchors"', "[revocation]",
            'crls = "/srv/site/crls"', f"sources = {json.dumps(list(urls))}", *lines, "[[mapper]]", 'name = "cn"', more,
        ])  # fmt: skip
        return self.world.put("/srv/site/pam_sc.toml", text)

    def publish(self, *revoked: int, path: str = "/ca.crl", **wishes: Any) -> bytes:
        """Put a CRL of the CA on the server."""
        self.server.files[path] = der = self.authority.crl(list(revoked), **{"pem": False, **wishes})
        return der

    def refresh(self, *arguments: str, timeout: float = 60) -> tuple[int, dict[str, Any]]:
        """Run it for JSON: exit code, and what it said of each source by its URL."""
        done = self.run("refresh", "--json", *arguments, timeout=timeout)
        assert done.stderr == "", done.stderr
        found = json.loads(done.stdout)
        assert found["problems"] == []
        return done.returncode, {each["source"]: each for each in found["sources"]}

    def run(self, *arguments: str, user: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run pam-sc."""
        return self.world.run([*PAM_SC, *arguments, "--config", self.config], user=user, timeout=timeout)

    @property
    def folder(self) -> Path:
        """The store as it lies outside of the world."""
        return self.world.path(STORE)

    def store(self) -> Store:
        """The store."""
        return open_store(str(self.folder), TRUSTED)

    def says(self, serial: int = LISTED, issuer: str = ISSUER) -> str:
        """What a login would learn of a serial: listed, not listed, absent (no CRL) or damaged."""
        store = self.store()
        crls = store.of_issuer(issuer)
        try:
            entries = [crl.entry(issuer, serial) for crl in crls]
        except StoreError:
            return "damaged"
        if store.problems:
            return "damaged"
        return "listed" if any(entries) else "not listed" if crls else "absent"
