# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc monitor` says to what cannot be meant, before anything is watched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pam_sc.cli.main import run
from tests.unit.cli.cards import FakeMachine

_PROGRAM = "import sys; sys.argv[0] = 'pam-sc'; from pam_sc.cli.main import main; main()"


@pytest.mark.parametrize(("arguments", "why"), [
    (("--all", "--own"), "name one of --all and --own"),
    (("--json", "status"), "--json stands before status, where it says nothing: see pam-sc monitor status --help for what may"
                           " stand behind"),
    (("--config", "/x", "status"), "--config stands before status"),
    (("--dry-run", "status"), "--dry-run stands before status"),
    (("--argument", "x=1", "status"), "--argument stands before status"),
    (("stauts",), "No such command 'stauts'."),
])  # fmt: skip
def test_what_would_be_passed_over_is_refused(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str) -> None:
    machine = FakeMachine()
    assert run(("monitor", *arguments), machine) == 2
    assert capsys.readouterr().err.startswith(f"pam-sc: {why}")
    assert machine.asked == []


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2), (2,)])
def test_standard_streams_that_are_closed_are_no_defect(tmp_path: Path, closed: tuple[int, ...]) -> None:
    """And nothing that is opened later is taken for one."""
    code = tmp_path / "code"
    program = f"""
import os, sys
for each in {closed!r}:
    os.close(each)
if os.fork() == 0:
    os.execv(sys.executable, [sys.executable, "-c", {_PROGRAM!r}, "monitor", "--config", "/nowhere.toml", "--json"])
status = os.waitstatus_to_exitcode(os.wait()[1])
open({str(code)!r}, "w").write(str(status))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert code.read_text() == "2"
    assert ("cannot read the configuration" in done.stderr) is (2 not in closed)
    assert "Traceback" not in done.stderr
