# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one login asks of the card: pam_sc, Debian's pam_p11 and pam_pkcs11 with the same PIV card, through OpenSC.

The card is in a virtual reader and holds one RSA-2048 certificate, in 9A. Counted are the commands (APDUs) that reach
it in one login through pamtester. Needs root (it plays in private namespaces); nothing here touches a real reader.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.support.bench_world import play
from tests.support.installation import module_in, worker_in
from tests.support.login_setup import LoginSetup, configuration
from tests.support.pam_world import World
from tests.support.pcscd import Pcscd, opensc_module
from tests.support.peers import set_up_pam_p11, set_up_pam_pkcs11
from tests.support.piv_card import PivApplet, VirtualCard

SERVICES = ("pam_sc", "pam_p11", "pam_pkcs11")
PIN, WRONG_PIN = "123456", "999999"


def main() -> int:
    """Set all three up, see that each accepts the right PIN and refuses a wrong one, count, print."""
    return play(count_in)


def count_in(world: World) -> int:
    """Set all three up in a world, and count there."""
    with Pcscd(world.folder / "run", world.folder.parent / "pcscd") as pcscd:
        card = set_up(world, pcscd)
        for service in SERVICES:
            require_sound(world, card, service)
        return report({service: count(world, card, service) for service in SERVICES})


def set_up(world: World, pcscd: Pcscd) -> VirtualCard:
    """One card, one CA and CRL, and a PAM service for each of the three."""
    setup = LoginSetup(world.path("/srv/login"), "/srv/login")
    issued = setup.authority.issue(common_name="alice", key="rsa2048")
    world.write_config(configuration(module=opensc_module(), folder=setup.inside))
    world.pam_service("pam_sc", [f"required {module_in()} worker={worker_in()}"])
    set_up_pam_p11(world, issued, "alice")
    world.pam_service("pam_p11", [f"required pam_p11.so {opensc_module()}"])
    set_up_pam_pkcs11(world, setup, opensc_module())
    card = pcscd.card(PivApplet({0x9A: issued}))
    card.insert()
    return card


def login(world: World, service: str, pin: str) -> bool:
    """Log in once: whether it was granted."""
    return world.run(["pamtester", service, "alice", "authenticate"], input=f"{pin}\n").returncode == 0


def require_sound(world: World, card: VirtualCard, service: str) -> None:
    """The commands of something that does not log in, or does not look at the PIN, mean nothing."""
    if not login(world, service, PIN):
        raise SystemExit(f"cannot measure: {service} refuses the right PIN")
    if login(world, service, WRONG_PIN):
        raise SystemExit(f"cannot measure: {service} accepts a wrong PIN")
    card.applet.tries = 3


def count(world: World, card: VirtualCard, service: str) -> int:
    """The commands of one login with a card whose PIN nobody has verified."""
    card.applet.reset()
    card.applet.log.clear()
    signatures = card.applet.signatures
    if not login(world, service, PIN) or card.applet.signatures != signatures + 1:
        raise SystemExit(f"cannot measure: {service} refused a login it had accepted before, or had nothing signed")
    return len(card.applet.log)


def report(counts: dict[str, int]) -> int:
    """Print one line each."""
    print("commands to a PIV card in one login, OpenSC, RSA-2048 in 9A, through pamtester:")
    for service, found in counts.items():
        print(f"  {service:11}{found:6} APDUs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
