# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every session in tests/scripts is played against the installed module, through libpam."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.namespace import is_available
from tests.support.pam_world import World
from tests.support.pcscd import Pcscd
from tests.support.rig import Rig
from tests.support.script import ScriptError, Stage, read_script

pytestmark = pytest.mark.root
FOLDER = Path(__file__).parents[1] / "scripts"
SCRIPTS = sorted(FOLDER.glob("*.txt"))
LEAST = 60


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One world for all of them; the reader is there from the first script that puts a card into it."""
    if not is_available():
        pytest.skip("needs root and the right to make mount namespaces")
    folder = tmp_path_factory.mktemp("scripts")
    with World.create(folder / "world") as world:
        readers: list[Pcscd] = []

        def reader() -> Pcscd:
            if not readers:
                readers.append(Pcscd(world.path("/run/pcscd").parent, folder / "pcscd"))
                world.on_close(readers[0].stop)
            return readers[0]

        yield Stage(Rig(world), reader)


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_session_goes_as_it_is_written(stage: Stage, path: Path) -> None:
    stage.play(read_script(path))


def test_there_are_enough_scripts_and_each_proves_something_else() -> None:
    proven = [read_script(path).proves for path in SCRIPTS]
    assert len(set(proven)) == len(proven) >= LEAST


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "script.txt"
    path.write_text("\n".join(["# a script", *lines, ""]))
    return path


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("token alice", "login", 'ask "PIN for login:"', "reply 999999", "result success"), "instead came"),
        (("token alice", "login", 'tell "PIN for login:"'), "instead came"),
        (("token alice", "login", 'ask "PIN for somebody:"'), "instead came"),
        (("token alice", "login"), "its result is missing"),
        (("token alice", "login", 'ask "PIN for login:"', "reply 123456", "result auth_err"), "the code is success"),
    ],
)
def test_a_session_that_goes_another_way_is_a_failure(
    stage: Stage, tmp_path: Path, lines: tuple[str, ...], why: str
) -> None:
    with pytest.raises(ScriptError, match=why):
        stage.play(read_script(written(tmp_path, *lines)))


@pytest.mark.parametrize("text", ["login alice\n", "# proves\nlogon alice\n", ""])
def test_a_malformed_script_is_not_played(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.txt"
    path.write_text(text)
    with pytest.raises(ScriptError):
        read_script(path)
