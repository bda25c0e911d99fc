# SPDX-License-Identifier: LGPL-2.1-or-later
"""Screens without hardware for screen lockers: an X server and a Wayland compositor, both in a world, as a user of it.

Each can press keys and keep a picture of what it shows. An X server takes the first display that is free.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.pam_world import World

_READY_S = 20
_XWD_FIELDS, _XWD_COLOURS, _XWD_COLOUR_SIZE = 25, 19, 12  # XWDFile.h; the pixels are little-endian here
_SWAY = {"WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman", "WLR_LIBINPUT_NO_DEVICES": "1"}


class Screen(Protocol):
    """What a test of a screen locker needs."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What programs on this screen need in their environment."""

    def type(self, text: str, *keys: str) -> None:
        """Type a text and then press these keys, by their X11 names."""

    def picture(self, to: Path) -> None:
        """Keep what is shown; `to` gets the suffix of its format."""

    def corner(self) -> str:
        """The colour of the upper left corner, as six hexadecimal digits: that of a locker, or of what it covers."""


@dataclass(frozen=True, slots=True)
class XScreen:
    """A display of an X server without a window manager (i3lock refuses to start where WAYLAND_DISPLAY is set)."""

    world: World
    user: str
    display: str
    frame: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {"DISPLAY": self.display, "HOME": self.world.account(self.user).home}

    def type(self, text: str, *keys: str) -> None:
        if text:
            self._tell("type", text)
        for key in keys:
            self._tell("key", key)

    def _tell(self, *words: str) -> None:
        self.world.run(["xdotool", *words], user=self.user, env=self.environment).check_returncode()

    def picture(self, to: Path) -> None:
        shutil.copy(self.frame, to.with_suffix(".xwd"))

    def corner(self) -> str:
        frame = self.frame.read_bytes()
        header = struct.unpack_from(f">{_XWD_FIELDS}I", frame)
        blue, green, red = frame[(at := header[0] + header[_XWD_COLOURS] * _XWD_COLOUR_SIZE) : at + 3]
        return f"{red:02x}{green:02x}{blue:02x}"


@dataclass(frozen=True, slots=True)
class WaylandScreen:
    """The only output of a compositor."""

    world: World
    user: str
    runtime: str
    display: str

    @property
    def environment(self) -> Mapping[str, str]:
        return {"XDG_RUNTIME_DIR": self.runtime, "WAYLAND_DISPLAY": self.display,
                "HOME": self.world.account(self.user).home}

    def type(self, text: str, *keys: str) -> None:
        """Escape goes first: each run is a keyboard with a layout of its own, and its first key may be lost."""
        self._tell("-k", "Escape", *([text] if text else []), *(word for key in keys for word in ("-k", key)))

    def _tell(self, *words: str) -> None:
        self.world.run(["wtype", *words], user=self.user, env=self.environment).check_returncode()

    def picture(self, to: Path) -> None:
        inside = f"{self.runtime}/picture.png"
        self.world.run(["grim", inside], user=self.user, env=self.environment)
        if self.world.path(inside).exists():
            shutil.copy(self.world.path(inside), to.with_suffix(".png"))

    def corner(self) -> str:
        inside = f"{self.runtime}/corner.ppm"
        self.world.run(["grim", "-t", "ppm", "-g", "0,0 1x1", inside], user=self.user,
                       env=self.environment).check_returncode()
        return self.world.path(inside).read_bytes()[-3:].hex()


def _share_settings(world: World) -> None:
    for name in ("X11", "fonts"):
        if not world.path(f"/etc/{name}").exists():
            shutil.copytree(Path("/etc") / name, world.path(f"/etc/{name}"), symlinks=True)


@contextmanager
def x_screen(world: World, folder: Path, user: str = "alice") -> Iterator[XScreen]:
    """Start an X server and end it by its number."""
    _share_settings(world)
    folder.mkdir(exist_ok=True)
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-nolisten", "tcp", "-ac", "-noreset", "-screen", "0", "800x600x24", "-fbdir",
         str(folder)], pass_fds=[writer], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as told:
            display = told.readline().strip()
        if not display:
            raise RuntimeError("cannot start Xvfb: it ended")
        yield XScreen(world, user, f":{display}", folder / "Xvfb_screen0")
    finally:
        server.terminate()
        server.wait()


@contextmanager
def wayland_screen(world: World, user: str = "alice") -> Iterator[WaylandScreen]:
    """Start sway without outputs of the machine and end it by its number."""
    _share_settings(world)
    account = world.account(user)
    runtime = world.path(f"/run/user/{account.uid}")
    runtime.mkdir(parents=True, exist_ok=True)
    os.chown(runtime, account.uid, account.gid)
    runtime.chmod(0o700)
    world.put("/srv/sway.conf", f"exec touch /run/user/{account.uid}/ready\n")
    environment = {**_SWAY, "XDG_RUNTIME_DIR": f"/run/user/{account.uid}", "HOME": account.home}
    server = world.namespace.popen(["sway", "--config", "/srv/sway.conf"], user=user, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(runtime / "ready", server)
        display = next(path.name for path in runtime.glob("wayland-?"))
        yield WaylandScreen(world, user, f"/run/user/{account.uid}", display)
    finally:
        server.terminate()
        server.wait()


def _await(path: Path, server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _READY_S
    while not path.exists():
        # sway runs its first command when it is ready; the file that this makes is looked for
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("cannot start sway")
        time.sleep(0.02)
