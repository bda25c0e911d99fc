# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cold login, pam_sc and Debian's pam_pkcs11 side by side: the same SoftHSM token, CA and CRL, through pamtester.

Each login is a whole process from start to end, in turn one of ours and one of theirs, so that whatever else the
machine does hits both. Printed are the medians and their ratio. Needs root (it plays in a private mount namespace).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.support.bench_world import play, run_inside
from tests.support.installation import PREFIX, module_in, worker_in
from tests.support.login_setup import LoginSetup
from tests.support.pam_world import HARNESS, World
from tests.support.peers import set_up_pam_pkcs11
from tests.support.softhsm import PIN, module_path

ROUNDS = 20
SERVICES = ("pam_sc", "pam_pkcs11")


def main() -> int:
    """Set both up, see that both accept the right PIN and refuse a wrong one, measure, print."""
    return play(measure_in)


def measure_in(world: World) -> int:
    """Set both up in a world, and measure there."""
    set_up(world)
    inside = [f"{PREFIX}/bin/python", "-P", f"{HARNESS}/tools/bench/login.py", "inside"]
    return run_inside(world, inside, lambda said: report(json.loads(said)))


def measure_inside() -> int:
    """What runs in the world: see that both decide rightly, then measure."""
    for service in SERVICES:
        require_sound(service)
    print(json.dumps(measure()))
    return 0


def set_up(world: World) -> None:
    """One token, CA and CRL, a second token whose certificate is revoked; two PAM services for each."""
    card = world.account("pam_sc_card")
    setup = LoginSetup(world.path("/srv/login"), "/srv/login", (card.uid, card.gid))
    cards = {"": setup.authority.issue(common_name="alice"), "-revoked": setup.authority.issue(common_name="alice")}
    setup.revoke(cards["-revoked"])
    for suffix, issued in cards.items():
        token = setup.token(f"alice{suffix}", [issued])
        ours = setup.configure(f"alice{suffix}", module=module_path(),
                               environment={"SOFTHSM2_CONF": token.configuration})
        world.pam_service(f"pam_sc{suffix}", [f"required {module_in()} config={ours} worker={worker_in()}"])
        set_up_pam_pkcs11(world, setup, module_path(), f"pam_pkcs11{suffix}")  # the environment names its token


def login(service: str, pin: str = PIN, card: str = "") -> tuple[bool, float]:
    """Log in once: whether it was granted, and the milliseconds from start to end of the process."""
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
                   "SOFTHSM2_CONF": f"/srv/login/cards/alice{card}/softhsm2.conf"}
    began = time.perf_counter()
    result = subprocess.run(["/usr/bin/pamtester", service + card, "alice", "authenticate"], input=f"{pin}\n",
                            text=True, capture_output=True, check=False, env=environment)
    return result.returncode == 0, (time.perf_counter() - began) * 1000


def require_sound(service: str) -> None:
    """A measurement of something that does not log in, or does not look at PIN and CRL, means nothing."""
    if not login(service)[0]:
        raise SystemExit(f"cannot measure: {service} refuses the right PIN")
    if login(service, "999999")[0]:
        raise SystemExit(f"cannot measure: {service} accepts a wrong PIN")
    if login(service, card="-revoked")[0]:
        raise SystemExit(f"cannot measure: {service} accepts a revoked certificate")


def measure() -> dict[str, list[float]]:
    """The milliseconds of each login, in turn."""
    times: dict[str, list[float]] = {service: [] for service in SERVICES}
    for _ in range(ROUNDS):
        for service, found in times.items():
            granted, took = login(service)
            if not granted:
                raise SystemExit(f"cannot measure: {service} refused a login it had accepted before")
            found.append(took)
    return times


def report(times: dict[str, list[float]]) -> int:
    """Print medians, spread and ratio."""
    print(f"cold login, SoftHSM, RSA-2048, CA and CRL, whole process through pamtester, median of {ROUNDS}:")
    for service, found in times.items():
        spread = f"(fastest {min(found):.1f}, slowest {max(found):.1f})"
        print(f"  {service:11}{statistics.median(found):8.1f} ms   {spread}")
    ratio = statistics.median(times["pam_sc"]) / statistics.median(times["pam_pkcs11"])
    print(f"  ratio      {ratio:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(measure_inside() if sys.argv[1:] == ["inside"] else main())
