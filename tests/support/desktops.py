# SPDX-License-Identifier: LGPL-2.1-or-later
"""Desktops and screen lockers without hardware, each as far as its lock needs it: what starts them, and how they show a lock.

Nothing of them is replaced, with one exception: gnome-shell locks only where GDM is on the system bus, and a stand-in
(fake_gdm.py) says that it is.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jeepney import DBusAddress, HeaderFields, MessageType

from tests.support import fake_gdm
from tests.support.desk import Desk
from tests.support.desktop_session import DesktopSession, await_that, desktop_session
from tests.support.namespace import CLEAN_ENVIRONMENT
from tests.support.pam_world import REPOSITORY
from tests.support.screens import x_screen

_XSCREENSAVER_FILE = "mode: blank\nfade: False\nunfade: False\nlock: True\nsplash: False\n"
_SWAY = {"WLR_BACKENDS": "headless", "WLR_RENDERER": "pixman", "WLR_LIBINPUT_NO_DEVICES": "1"}
_ASKED = ("org.freedesktop.DBus", "org.freedesktop.DBus.Properties", "org.freedesktop.login1.Manager")
_QUIET_S = 0.7
_SWAYLOCK = '{ run = ["/usr/bin/swaylock", "-f"], sign = "exit" }'
_XSCREENSAVER_LOCKER = (
    '{ run = ["xscreensaver-command", "-lock"], '
    'sign = { query = ["xscreensaver-command", "-time"], text = "screen locked" } }'
)
_GSD = "/usr/libexec/gsd-"


@dataclass(frozen=True, slots=True)
class Saver:
    """A screen saver on the session bus. `lock`: the signature of Lock's arguments."""

    name: str
    path: str
    interface: str = ""
    lock: str = ""

    @property
    def address(self) -> DBusAddress:
        """Where its methods are."""
        return DBusAddress(self.path, bus_name=self.name, interface=self.interface or self.name)


FREEDESKTOP = Saver("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver")
GNOME = Saver("org.gnome.ScreenSaver", "/org/gnome/ScreenSaver")
SHIELD = Saver("org.gnome.Shell.ScreenShield", "/org/gnome/ScreenSaver", "org.gnome.ScreenSaver")
MATE = Saver("org.mate.ScreenSaver", "/org/mate/ScreenSaver")
CINNAMON = Saver("org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver", lock="s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desktop:
    """One of them. `package` gives its version; `needs` are names that are owned when it is ready."""

    name: str
    package: str
    begin: Callable[[DesktopSession], None]
    current: str = ""
    session_type: str = "wayland"
    saver: Saver | None = None
    needs: tuple[str, ...] = ()
    sign: Callable[[DesktopSession], bool] | None = None
    """Whether it has locked, where neither logind nor a bus tells."""
    locker: str = ""
    """What `locker` in [monitor] may be for it."""
    gdm: bool = False
    listens: bool = True
    """Whether it subscribes to what logind tells of its session."""


def _gnome(session: DesktopSession) -> None:
    session.start(["gnome-shell", "--headless", "--virtual-monitor", "800x600", "--no-x11"])
    log = session.desk.world.path("/srv/gnome-shell.log")
    assert await_that(lambda: "GNOME Shell started at" in log.read_text(errors="replace")), log.read_text()
    for name in ("screensaver-proxy", "smartcard"):
        session.start([_GSD + name])


def _plasma(session: DesktopSession) -> None:
    # The package's file has a capability (sys_nice) that a container may not have; a copy has none.
    copy = session.desk.world.path("/srv/kwin_wayland")
    shutil.copy("/usr/bin/kwin_wayland", copy)
    session.start(["/srv/kwin_wayland", "--virtual", "--width", "800", "--height", "600"],
                  {"QT_QPA_PLATFORM": "wayland", "KDE_FULL_SESSION": "true", "KDE_SESSION_VERSION": "5"})


def _sway(session: DesktopSession) -> None:
    world = session.desk.world
    runtime = session.variables["XDG_RUNTIME_DIR"]
    world.put("/srv/sway.conf", f"exec touch {runtime}/ready\n")
    world.path(f"{runtime}/ready").unlink(missing_ok=True)
    session.start(["sway", "--config", "/srv/sway.conf"], _SWAY)
    assert await_that(world.path(f"{runtime}/ready").exists), "sway does not start"
    session.variables["WAYLAND_DISPLAY"] = next(path.name for path in world.path(runtime).glob("wayland-?"))


def _swayidle(session: DesktopSession) -> None:
    _sway(session)
    session.start(["swayidle", "-w", "lock", "swaylock -f"])


def _swayidle_that_tells(session: DesktopSession) -> None:
    _sway(session)
    program = session.desk.world.put("/srv/swaylock-and-tell",
                                     (REPOSITORY / "docs/examples/swaylock-and-tell").read_text(), mode=0o755)
    session.start(["swayidle", "-w", "lock", program])


def _xscreensaver(session: DesktopSession) -> None:
    session.desk.world.put("/home/alice/.xscreensaver", _XSCREENSAVER_FILE, owner="alice")
    session.start(["xscreensaver", "--no-splash"])


def _runs(program: str) -> Callable[[DesktopSession], bool]:
    return lambda session: program in session.programs()


def _xscreensaver_says_so(session: DesktopSession) -> bool:
    return "screen locked" in session.run(["xscreensaver-command", "-time"]).stdout


def _command(*argv: str) -> Callable[[DesktopSession], None]:
    return lambda session: session.start(argv)


DESKTOPS = (
    Desktop(name="GNOME", package="gnome-shell", begin=_gnome, current="GNOME", saver=SHIELD, gdm=True,
            needs=("org.gnome.Shell", SHIELD.name, FREEDESKTOP.name, "org.gnome.SettingsDaemon.Smartcard")),
    Desktop(name="GNOME without GDM", package="gnome-shell", begin=_gnome, current="GNOME", saver=FREEDESKTOP,
            listens=False, needs=("org.gnome.Shell", FREEDESKTOP.name)),
    Desktop(name="Plasma", package="kwin-wayland", begin=_plasma, current="KDE", saver=FREEDESKTOP,
            needs=(FREEDESKTOP.name, "org.kde.screensaver")),
    Desktop(name="MATE", package="mate-screensaver", begin=_command("mate-screensaver", "--no-daemon"), current="MATE",
            session_type="x11", saver=MATE, needs=(MATE.name,)),
    Desktop(name="Cinnamon", package="cinnamon-screensaver", begin=_command("cinnamon-screensaver"), current="X-Cinnamon",
            session_type="x11", saver=CINNAMON, needs=(CINNAMON.name,)),
    Desktop(name="sway, swayidle, swaylock", package="swayidle", begin=_swayidle, current="sway", sign=_runs("swaylock")),
    Desktop(name="the same with swaylock-and-tell", package="swayidle", begin=_swayidle_that_tells, current="sway",
            sign=_runs("swaylock")),
    Desktop(name="sway alone", package="sway", begin=_sway, current="sway", sign=_runs("swaylock"), listens=False,
            locker=_SWAYLOCK),
    Desktop(name="xss-lock, i3lock", package="xss-lock", begin=_command("xss-lock", "--", "i3lock", "-n"), current="i3",
            session_type="x11", sign=_runs("i3lock")),
    Desktop(name="xscreensaver", package="xscreensaver", begin=_xscreensaver, session_type="x11", saver=FREEDESKTOP,
            sign=_xscreensaver_says_so, needs=(FREEDESKTOP.name,), locker=_XSCREENSAVER_LOCKER),
)


@contextmanager
def running(desktop: Desktop, desk: Desk, folder: Path) -> Iterator[DesktopSession]:
    """Log in, start the desktop, and return when it listens to logind."""
    with ExitStack() as stack:
        if desktop.gdm:
            stack.enter_context(_gdm(desk))
        screen = None
        if desktop.session_type == "x11":
            screen = stack.enter_context(x_screen(desk.world, folder / "x"))
        session = stack.enter_context(desktop_session(desk, desktop.session_type, desktop.current))
        if screen is not None:
            session.variables.update(screen.environment)
            session.run(["setxkbmap", "us"]).check_returncode()
        _clear_logs(desk)
        since = len(_listeners(desk))
        desktop.begin(session)
        assert await_that(lambda: set(desktop.needs) <= set(session.names())), _why(desktop, session)
        if desktop.listens:
            assert await_that(lambda: len(_listeners(desk)) > since), _why(desktop, session)
        await_that(lambda: _is_quiet(desk))
        yield session


def _clear_logs(desk: Desk) -> None:
    for log in desk.world.path("/srv/x").parent.glob("*.log"):
        if log.name != "dbus-daemon.log":
            log.unlink()


def _why(desktop: Desktop, session: DesktopSession) -> str:
    logs = session.desk.world.path("/srv/x").parent.glob("*.log")
    said = "\n".join(log.read_text(errors="replace")[-2000:] for log in logs)
    return f"{desktop.name} is not ready, or does not listen to logind: there is {session.names()}; it said: {said}"


def _listeners(desk: Desk) -> list[str]:
    """What was subscribed to on the system bus about sessions, by whom but us."""
    heard = desk.login1.bus.heard.messages(MessageType.method_call, "org.freedesktop.DBus")
    rules = [str(message.body[0]) for message in heard if message.header.fields[HeaderFields.member] == "AddMatch"]
    return [rule for rule in rules if "login1.Session" in rule or "/login1/session/" in rule]


def _is_quiet(desk: Desk) -> bool:
    """Whether for a while nobody asks anything on the system bus: who has just subscribed may not be ready to hear."""
    heard = desk.login1.bus.heard

    def asked() -> int:
        return sum(len(heard.messages(MessageType.method_call, interface)) for interface in _ASKED)

    before = asked()
    return not heard.await_that(lambda: asked() > before, _QUIET_S)


@contextmanager
def _gdm(desk: Desk) -> Iterator[None]:
    desk.world.put("/run/dbus/system.d/gdm.conf", fake_gdm.POLICY)
    bus = desk.login1.bus
    bus.call(DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus"),
             "ReloadConfig")
    program = [sys.executable, "-P", str(REPOSITORY / "tests/support/fake_gdm.py"), desk.login1.inside_address]
    child = subprocess.Popen(desk.login1.namespace.enter(program), env=dict(CLEAN_ENVIRONMENT),
                             stdin=subprocess.DEVNULL, cwd=REPOSITORY)
    try:
        bus.await_name(fake_gdm.NAME)
        yield
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
