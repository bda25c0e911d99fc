# SPDX-License-Identifier: LGPL-2.1-or-later
"""Print the files of the package below a folder of the source tree, one a line. meson.build installs exactly these."""

import os
import sys

PACKAGED = (".py", ".typed", ".conf")


def python_sources(root: str) -> list[str]:
    """Every file that is part of the package below `root`, sorted; symlinked folders are not entered."""
    found = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(PACKAGED)
    ]
    return sorted(found)


if __name__ == "__main__":
    os.chdir(os.environ["MESON_SOURCE_ROOT"])
    print("\n".join(python_sources(sys.argv[1])))
