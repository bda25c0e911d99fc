# SPDX-License-Identifier: LGPL-2.1-or-later
"""What each process of a login spends before it can work: importing, and defining its classes of frozen values.

Each figure is the processor time of a fresh, isolated interpreter with the three folders that a login searches, median
of 10. The last line defines the verifier's records once more as dataclasses, which is why pam_sc/record.py exists.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import sysconfig

ROUNDS = 10
_PATHS = [sysconfig.get_path("stdlib"), sysconfig.get_config_var("DESTSHARED"), sysconfig.get_path("platlib")]
_BEGIN = f"import sys, time; sys.path[:] = {_PATHS!r}\n"
_SPENT = "print(time.process_time() * 1000)\n"
_VERIFIER = "import pam_sc.worker, pam_sc.login, pam_sc.material, pam_sc.trust.fetching, pam_sc.mappers.cn\n"
_CARD = "import pam_sc.card.process, pam_sc.card.serve\n"
_DEFINE = """
import dataclasses, pam_sc.record
shapes = [c for m in list(sys.modules.values()) if m.__name__.startswith("pam_sc.") for c in vars(m).values()
          if isinstance(c, type) and c.__setattr__ is pam_sc.record._refuse]
shapes = {c.__qualname__: list(c.__annotations__) for c in shapes}
began = time.process_time()
for name, fields in shapes.items():
    made = type(name, (), {"__annotations__": dict.fromkeys(fields, "object")})
    DECORATE(made)
print((time.process_time() - began) * 1000)
"""


def main() -> int:
    """Measure and print."""
    print(f"processor time in ms, median of {ROUNDS}:")
    for title, program in (
        ("a bare interpreter", ""),
        ("the card process's imports", _CARD),
        ("the verifier's imports", _VERIFIER),
    ):
        print(f"  {title:42} {_median(_BEGIN + program + _SPENT):6.1f}")
    for title, decorate in (
        ("of which its classes, as records", "pam_sc.record.record(kw_only=True)"),
        ("the same classes as dataclasses", "dataclasses.dataclass(frozen=True, slots=True, kw_only=True)"),
    ):
        print(f"  {title:42} {_median(_BEGIN + _VERIFIER + _DEFINE.replace('DECORATE', decorate)):6.1f}")
    return 0


def _median(program: str) -> float:
    command = ["/usr/bin/python3", "-I", "-S", "-c", program]
    return statistics.median(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                             for _ in range(ROUNDS))


if __name__ == "__main__":
    sys.exit(main())
