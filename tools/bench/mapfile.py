# SPDX-License-Identifier: LGPL-2.1-or-later
"""A login with a mapfile of 10 and of 1,000,000 lines: pam_sc and Debian's pam_pkcs11, and what the lines add to each.

The same SoftHSM token, CA, CRL and mapfile for both, each with its mapper cn; the account stands in the last line. Each
login is a whole process from start to end, in turn one of each. Before anything is measured, both refuse the card of a
person whom the mapfile does not list. Measured again ignoring case. Needs root (it plays in a private mount namespace).
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.support.bench_world import play, run_inside
from tests.support.installation import module_in, worker_in
from tests.support.login_setup import LoginSetup
from tests.support.pam_world import HARNESS, World
from tests.support.peers import PamPkcs11
from tests.support.softhsm import module_path

SIZES = (10, 1_000_000)
ROUNDS = 15
OURS, THEIRS = "pam_sc", "pam_pkcs11"
WAYS = ("exact", "ignoring-case")
LISTED, NOT_LISTED = "Person Alice Example", "Person Alicia Example"

Found = dict[str, list[tuple[float, int]]]


def main() -> int:
    """Set everything up, measure in the world, print."""
    return play(measure_in)


def measure_in(world: World) -> int:
    """Set everything up in a world, and measure there."""
    set_up(world)
    command = ["/usr/bin/python3", "-I", "-S", f"{HARNESS}/tests/support/measured_login.py"]
    return run_inside(world, command, lambda said: report(json.loads(said)), json.dumps(order()))


def names() -> list[str]:
    """Every PAM service that is measured: whose, which way, how many lines."""
    return [f"{whose}-{way}-{size}" for way in WAYS for size in SIZES for whose in (OURS, THEIRS)]


def order() -> dict[str, object]:
    """What is tried once, and what is measured."""
    token = {name: f"/srv/login/cards/{name}/softhsm2.conf" for name in ("listed", "unlisted")}
    sound = [(f"{THEIRS}-{way}-{size}", token["unlisted"], False) for way in WAYS for size in SIZES]
    sound += [(f"{OURS}-{way}-{size}-unlisted", token["unlisted"], False) for way in WAYS for size in SIZES]
    return {"sound": sound, "logins": [(name, name, token["listed"], ROUNDS) for name in names()]}


# ---------------------------------------------------------------- what is set up


def set_up(world: World) -> None:
    """Two cards, and for each size and way a service of ours (and one for the other card) and one of the peer's."""
    card = world.account("pam_sc_card")
    setup = LoginSetup(world.path("/srv/login"), "/srv/login", (card.uid, card.gid))
    for name, person in (("listed", LISTED), ("unlisted", NOT_LISTED)):
        setup.token(name, [setup.authority.issue(common_name=person)])
    crl = (setup.folder / "crls/ca.crl").read_bytes()
    for size in SIZES:
        mapfile = world.put(f"/srv/maps/{size}", mapfile_of(size))
        for way in WAYS:
            for service, token in ((f"{OURS}-{way}-{size}", "listed"), (f"{OURS}-{way}-{size}-unlisted", "unlisted")):
                write_service(world, setup, service, token, mapfile, ignore_case=way != WAYS[0])
            peer = PamPkcs11(world=world, name=f"{THEIRS}-{way}-{size}", module=module_path(), mapfile=mapfile,
                             ignore_case=way != WAYS[0])
            peer.set_up([setup.authority.pem], [crl])


def mapfile_of(lines: int) -> str:
    """So many lines, alice's the last."""
    others = (f"Person {number:07} Example -> user{number:07}\n" for number in range(lines - 1))
    return "".join([*others, f"{LISTED} -> alice\n"])


def write_service(
    world: World, setup: LoginSetup, service: str, card: str, mapfile: str, *, ignore_case: bool
) -> None:
    """A PAM service of ours: its configuration has this mapfile, and the token of this card."""
    environment = {"SOFTHSM2_CONF": f"{setup.inside}/cards/{card}/softhsm2.conf"}
    more = f'mapfile = "{mapfile}"\nignore_case = {str(ignore_case).lower()}'
    config = setup.configure(service, module=module_path(), environment=environment, more=more)
    world.pam_service(service, [f"required {module_in()} config={config} worker={worker_in()}"])


# ---------------------------------------------------------------- what is printed


def report(found: Found) -> int:
    """Print medians and what the lines add; the exit status says whether they add no more to ours than to the peer's."""
    times = {name: statistics.median(took for took, _memory in values) for name, values in found.items()}
    print(f"login by lines of the mapfile, SoftHSM, RSA-2048, whole process through pamtester, medians of {ROUNDS}:")
    kept = True
    for way in WAYS:
        added = {}
        for whose in (OURS, THEIRS):
            few, many = (times[f"{whose}-{way}-{size}"] for size in SIZES)
            added[whose] = many - few
            print(f"  {way:>13}  {whose:>10}  {SIZES[0]:>9,} lines {few:8.1f} ms")
            print(f"  {way:>13}  {whose:>10}  {SIZES[1]:>9,} lines {many:8.1f} ms, that adds {many - few:6.1f} ms")
        kept &= added[OURS] <= added[THEIRS]
        print(f"  {way:>13}  {OURS} adds {added[OURS] / added[THEIRS]:.2f} times what {THEIRS} adds (at most 1)")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
