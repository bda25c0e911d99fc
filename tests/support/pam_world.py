# SPDX-License-Identifier: LGPL-2.1-or-later
"""A world for logins: accounts, PAM services, configuration and programs of its own in a private mount namespace.

`World.create(folder)` lays out the folders that cover /etc, /dev, /run, /opt, /srv, /home, /var/lib and /var/log, so
that no account, PAM file or service of the machine is read for a decision or ever written. The programs under test lie
at /opt/pam_sc as an administrator would install them: owned by root, writable for nobody else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tests.support.installation import PREFIX, harness_for_all, installed_for
from tests.support.namespace import CLEAN_ENVIRONMENT, Cover, Namespace
from tests.support.syslog_socket import SyslogLine, SyslogSocket

if TYPE_CHECKING:
    import pexpect

REPOSITORY = Path(__file__).resolve().parents[2]
HARNESS = "/opt/harness"
_COVERED = ("etc", "dev", "run", "opt", "srv", "home", "var/lib", "var/log")
_ETC_COPIED = (
    "alternatives", "bash.bashrc", "debian_version", "default", "environment", "host.conf", "hostname", "hosts",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "login.defs", "machine-id", "nsswitch.conf", "opensc",
    "os-release", "pkcs11", "profile", "protocols", "reader.conf.d", "security", "services", "shells", "skel",
    "softhsm", "ssl", "sudo.conf", "terminfo", "timezone",
)
_DEVICES = ("full", "null", "ptmx", "random", "tty", "urandom", "zero")
_LAST_SYSTEM_UID = 999
_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Account:
    """A line of passwd; its primary group has the same name and the number `gid`."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = "/bin/sh"
    gecos: str = ""

    @property
    def passwd_line(self) -> str:
        """The account as passwd(5) has it."""
        return f"{self.name}:x:{self.uid}:{self.gid}:{self.gecos}:{self.home}:{self.shell}"


ACCOUNTS = (
    Account("root", 0, 0, "/home/root", gecos="root"),
    Account("hidden", 0, 4000, "/home/hidden"),
    Account("alice", 4001, 4001, "/home/alice", gecos="Alice Example"),
    Account("bob", 4002, 4002, "/home/bob", gecos="Bob Example"),
    Account("pam_sc", 4101, 4101, "/nonexistent", "/usr/sbin/nologin"),
    Account("pam_sc_card", 4102, 4102, "/nonexistent", "/usr/sbin/nologin"),
    Account("pam_sc_monitor", 4103, 4103, "/nonexistent", "/usr/sbin/nologin"),
)


@dataclass(slots=True)
class World:
    """The folders, the namespace and the syslog socket. Paths given to its methods are paths inside of it."""

    folder: Path
    accounts: tuple[Account, ...]
    namespace: Namespace
    syslog: SyslogSocket
    _closers: list[Any] = field(default_factory=list)

    @classmethod
    def create(cls, folder: Path, *, accounts: Sequence[Account] = ACCOUNTS, prefix: Path | None = None) -> Self:
        """Lay a world out in an empty folder and open it. `prefix` is the environment that lies at /opt/pam_sc."""
        for name in _COVERED:
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(0o755)
        _fill_etc(folder / "etc", accounts)
        _fill_dev(folder / "dev")
        _fill_run_and_var(folder)
        _make_homes(folder, accounts)
        for name in ("pam_sc", "harness"):
            (folder / "opt" / name).mkdir()
        namespace = Namespace([*_covers(folder), Cover(installed_for(0, prefix), PREFIX),
                               Cover(harness_for_all(REPOSITORY), HARNESS)])
        return cls(folder, tuple(accounts), namespace, SyslogSocket(folder / "dev"))

    def path(self, inside: str) -> Path:
        """Where a path inside of the world lies outside of it."""
        assert inside.startswith(tuple(f"/{name}/" for name in _COVERED)), f"{inside} is not private to the world"
        return self.folder / inside.removeprefix("/")

    def put(self, inside: str, content: str | bytes, *, mode: int = 0o644, owner: str = "root") -> str:
        """Write a file of the world, making the folders above it, and return its path inside."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        account = self.account(owner)
        os.chown(path, account.uid, account.gid)
        path.chmod(mode)
        return inside

    def account(self, name: str) -> Account:
        """The account of this name."""
        return next(account for account in self.accounts if account.name == name)

    def pam_service(self, name: str, lines: Sequence[str]) -> None:
        """Write the PAM service `name`: its auth lines, or whole lines if they begin with a management group."""
        groups = ("auth", "account", "session", "password", "@include", "-", "#")
        whole = [line if line.startswith(groups) else f"auth {line}" for line in lines]
        present = {line.split()[0] for line in whole}
        rest = [f"{group} required pam_permit.so" for group in ("account", "session") if group not in present]
        self.put(f"/etc/pam.d/{name}", "\n".join([*whole, *rest, ""]))

    def write_config(self, text: str) -> str:
        """Write /etc/pam_sc/pam_sc.toml."""
        return self.put("/etc/pam_sc/pam_sc.toml", text)

    def run(self, argv: Sequence[str], *, user: str | None = None,
            input: str | None = None,
            env: Mapping[str, str] | None = None, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the world, as root or as `user`."""
        return self.namespace.run(argv, user=user, input=input, env=env, timeout=timeout, **more)

    def spawn(self, argv: Sequence[str], *, user: str | None = None, env: Mapping[str, str] | None = None,
              timeout: float = 30) -> pexpect.spawn[str]:
        """Start a command on a terminal of its own, to talk to it."""
        import pexpect
        command, *arguments = self.namespace.enter(argv, user=user, env={"TERM": "dumb", **(env or {})})
        child = pexpect.spawn(command, arguments, env=dict(CLEAN_ENVIRONMENT),
                              encoding="utf-8", timeout=timeout)
        child.delaybeforesend = None
        self._closers.append(lambda: child.close(force=True))
        return child

    def logged(self) -> list[SyslogLine]:
        """What programs of the world said to syslog so far."""
        return self.syslog.lines()

    def on_close(self, closer: Any) -> None:
        """Call `closer` before the world goes."""
        self._closers.append(closer)

    def close(self) -> None:
        """End what was started here, then the namespace."""
        for closer in reversed(self._closers):
            closer()
        self.syslog.close()
        self.namespace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _covers(folder: Path) -> list[Cover]:
    devices = [Cover(Path("/dev") / name, str(folder / "dev" / name)) for name in (*_DEVICES, "pts")]
    return [*devices, *(Cover(folder / name, f"/{name}") for name in _COVERED)]


def _fill_etc(etc: Path, accounts: Sequence[Account]) -> None:
    for name in _ETC_COPIED:
        source = Path("/etc") / name
        if source.is_dir():
            shutil.copytree(source, etc / name, symlinks=True)
        elif source.exists():
            shutil.copy2(source, etc / name)
    write_accounts(etc, accounts)
    (etc / "pam.d").mkdir()
    (etc / "pam.d" / "other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n"
                                         "session required pam_deny.so\npassword required pam_deny.so\n")
    (etc / "pam_sc").mkdir()
    (etc / "sudoers.d").mkdir(mode=0o750)
    (etc / "sudoers").write_text("Defaults !lecture, timestamp_timeout=0\nalice ALL=(ALL:ALL) ALL\n")
    (etc / "sudoers").chmod(0o440)


def write_accounts(etc: Path, accounts: Sequence[Account] = ACCOUNTS) -> None:
    """Write passwd, group and shadow: the accounts, and the machine's own of daemons."""
    names = {account.name for account in accounts}
    passwd = [line for line in Path("/etc/passwd").read_text().splitlines() if _is_of_a_daemon(line, names)]
    group = [line for line in Path("/etc/group").read_text().splitlines() if _is_of_a_daemon(line, names)]
    (etc / "passwd").write_text("\n".join([*(a.passwd_line for a in accounts), *passwd, ""]))
    (etc / "group").write_text("\n".join([*(f"{a.name}:x:{a.gid}:" for a in accounts), *group, ""]))
    (etc / "shadow").write_text("".join(f"{a.name}:*:19000:0:99999:7:::\n" for a in accounts))
    (etc / "shadow").chmod(0o640)


def _is_of_a_daemon(line: str, taken: set[str]) -> bool:
    name, _, number = line.split(":")[:3]
    return name not in taken and (0 < int(number) <= _LAST_SYSTEM_UID or int(number) == _NOBODY)


def _fill_dev(dev: Path) -> None:
    for name in _DEVICES:
        (dev / name).touch()
    (dev / "pts").mkdir()
    (dev / "shm").mkdir()
    (dev / "shm").chmod(0o1777)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        (dev / name).symlink_to(f"/proc/self/fd{target}")


def _fill_run_and_var(folder: Path) -> None:
    for name in ("run/pcscd", "run/sudo", "run/lock", "var/lib/sudo", "var/lib/pam_sc"):
        (folder / name).mkdir()
    for name in ("run/utmp", "var/log/wtmp", "var/log/btmp", "var/log/lastlog", "var/log/faillog"):
        (folder / name).touch()


def _make_homes(folder: Path, accounts: Sequence[Account]) -> None:
    for account in accounts:
        if account.home.startswith("/home/"):
            home = folder / account.home.removeprefix("/")
            home.mkdir(mode=0o700)
            os.chown(home, account.uid, account.gid)
