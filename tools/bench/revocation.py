# SPDX-License-Identifier: LGPL-2.1-or-later
"""A login with a CRL of 1,000, 100,000 and 1,000,000 entries: pam_sc with its store, and Debian's pam_pkcs11.

The same SoftHSM token, CA and CRL for both; the peer has the CRL in a hashed folder (crl_offline), pam_sc an index of
it in its store. Each login is a whole process from start to end, in turn one of each. Before anything is measured, both
accept the good card and refuse the one that the CRL lists. A login with a stored OCSP answer and no CRL is measured
beside them. Needs root (it plays in a private mount namespace).
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from pam_sc.trust.index_format import ocsp_file_name
from pam_sc.trust.ocsp import ocsp_key
from tests.support.bench_world import play, run_inside
from tests.support.installation import module_in, worker_in
from tests.support.login_setup import LoginSetup
from tests.support.ocsp_answer import Response, Single, ocsp_response
from tests.support.pam_world import HARNESS, World
from tests.support.peers import PamPkcs11
from tests.support.pki import Issued, to_pem
from tests.support.softhsm import module_path
from tests.support.stores import large_crl, path_certificate, put

SIZES = (1_000, 100_000, 1_000_000)
ROUNDS, ROUNDS_OF_THE_PEER = 15, 5
OURS, THEIRS, OCSP = "pam_sc", "pam_pkcs11", "pam_sc-ocsp"
RATIO_MAX, MEMORY_MAX_MIB = 1.2, 10
RESPONDER = "http://ocsp.example.test/"

Found = dict[str, list[tuple[float, int]]]


def main() -> int:
    """Set everything up, measure in the world, print."""
    return play(measure_in)


def measure_in(world: World) -> int:
    """Set everything up in a world, and measure there."""
    set_up(world)
    command = ["/usr/bin/python3", "-I", "-S", f"{HARNESS}/tests/support/measured_login.py"]
    return run_inside(world, command, lambda said: report(json.loads(said)), json.dumps(order()))


def order() -> dict[str, object]:
    """What is tried once, and what is measured."""
    token = {name: f"/srv/login/cards/{name}/softhsm2.conf" for name in ("good", "revoked", "asked")}
    sound: list[tuple[str, str, bool]] = []
    logins: list[tuple[str, str, str, int]] = [(OCSP, OCSP, token["asked"], ROUNDS)]
    for size in SIZES:
        ours, theirs = f"{OURS}-{size}", f"{THEIRS}-{size}"
        sound += [(f"{ours}-revoked", token["revoked"], False), (theirs, token["revoked"], False)]
        logins += [(ours, f"{ours}-good", token["good"], ROUNDS), (theirs, theirs, token["good"], ROUNDS_OF_THE_PEER)]
    return {"sound": sound, "logins": logins}


# ---------------------------------------------------------------- what is set up


def set_up(world: World) -> None:
    """A good and a revoked card; for each size services of ours and one of the peer's; one with OCSP alone."""
    card = world.account("pam_sc_card")
    setup = LoginSetup(world.path("/srv/login"), "/srv/login", (card.uid, card.gid))
    (setup.folder / "crls/ca.crl").unlink()
    cards = {"good": setup.authority.issue(), "revoked": setup.authority.issue(),
             "asked": setup.authority.issue(ocsp=[RESPONDER])}
    for name, issued in cards.items():
        setup.token(name, [issued])
    for size in SIZES:
        crl = large_crl(setup.authority, size, listed=(cards["revoked"].serial,))
        put(store_folder(world, str(size)), crl, setup.authority)
        for name in ("good", "revoked"):
            write_service(world, setup, f"{OURS}-{size}-{name}", name, str(size))
        peer = PamPkcs11(world=world, name=f"{THEIRS}-{size}", module=module_path())
        peer.set_up([setup.authority.pem], [to_pem(crl, "X509 CRL")])
    keep_answer(store_folder(world, "ocsp"), setup, cards["asked"])
    write_service(world, setup, OCSP, "asked", "ocsp")


def store_folder(world: World, name: str) -> Path:
    """An empty store of its own."""
    folder = world.path(f"/var/lib/pam_sc/{name}")
    folder.mkdir(mode=0o755)
    return folder


def keep_answer(folder: Path, setup: LoginSetup, issued: Issued) -> None:
    """Put an OCSP answer into a store, as `pam-sc refresh` does."""
    single = Single(certificate=issued, issuer=setup.authority)
    der = ocsp_response(Response(singles=[single], signer=setup.authority))
    name = ocsp_file_name(ocsp_key(path_certificate(setup.authority.der), issued.serial))
    (folder / name).write_bytes(json.dumps({"source": RESPONDER}).encode() + b"\n" + der)
    (folder / name).chmod(0o644)


def write_service(world: World, setup: LoginSetup, service: str, card: str, store: str) -> None:
    """A PAM service of ours: its configuration has this store, and the token of this card."""
    environment = {"SOFTHSM2_CONF": f"{setup.inside}/cards/{card}/softhsm2.conf"}
    config = setup.configure(service, module=module_path(), environment=environment)
    settings = f'[revocation]\nmode = "require"\nstore = "/var/lib/pam_sc/{store}"'
    world.put(config, world.path(config).read_text().replace("[revocation]", settings))
    world.pam_service(service, [f"required {module_in()} config={config} worker={worker_in()}"])


# ---------------------------------------------------------------- what is printed


def report(found: Found) -> int:
    """Print medians and ratios; the exit status says whether ours stays the same however long the CRL is."""
    times = {name: statistics.median(took for took, _memory in values) for name, values in found.items()}
    memory = {name: max(each for _took, each in values) / 1024 for name, values in found.items()}
    print(f"login by entries of the CRL, SoftHSM, RSA-2048, whole process through pamtester, medians of {ROUNDS}")
    print(f"({THEIRS}: {ROUNDS_OF_THE_PEER}); memory is the greatest resident set of any one process of a login:")
    print(f"  {'entries':>9}  {OURS:>21}  {THEIRS:>21}  ratio")
    for size in SIZES:
        ours, theirs = f"{OURS}-{size}", f"{THEIRS}-{size}"
        cells = [f"{times[name]:8.1f} ms {memory[name]:5.0f} MiB" for name in (ours, theirs)]
        print(f"  {size:>9,}  {cells[0]:>21}  {cells[1]:>21}  {times[ours] / times[theirs]:5.2f}")
    print(f"  a stored OCSP answer in place of a CRL: {times[OCSP]:.1f} ms, {memory[OCSP]:.0f} MiB")
    few, many = f"{OURS}-{SIZES[0]}", f"{OURS}-{SIZES[-1]}"
    ratio, more = times[many] / times[few], memory[many] - memory[few]
    print(f"  {OURS} with {SIZES[-1]:,} entries: {ratio:.2f} times that with {SIZES[0]:,} (at most {RATIO_MAX}), "
          f"{more:+.1f} MiB (at most {MEMORY_MAX_MIB:+})")
    return 0 if ratio <= RATIO_MAX and more <= MEMORY_MAX_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
