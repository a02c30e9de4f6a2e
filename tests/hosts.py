"""Machines to be reached by ssh: each an sshd of its own on loopback, with a home and variables.

They run as whoever runs the tests, with keys made for them; nothing of the user's is read or
written. `kill` is the plug pulled: the daemon, its sessions and what runs in them, by SIGKILL.
"""

from __future__ import annotations

import fcntl
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
START = 60.0  # seconds for a daemon to answer

# Below the range that connections take their own ports from, so none of them takes ours.
_PORTS = range(20000, 32000)
_LOCKS = Path(tempfile.gettempdir()) / f"streamcli-test-ports-{os.getuid()}"
_taken: list[int] = []  # descriptors, which hold the locks until this process ends


def free_port() -> int:
    """Return a port that nobody uses, and that no test process of this user is given meanwhile."""
    _LOCKS.mkdir(mode=0o700, exist_ok=True)
    for port in random.sample(_PORTS, 50):
        fd = os.open(_LOCKS / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", port))
        except OSError:
            os.close(fd)
        else:
            _taken.append(fd)
            return port
    raise OSError("no free port")


class Hosts:
    """`add` starts one; `env` makes ssh, parallel and rsync find them by their names.

    Where the system has no sshd, or none that lets us in, the test is skipped.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        sshd, keygen = shutil.which("sshd", path=SEARCHED), shutil.which("ssh-keygen")
        if not sshd or not keygen or not shutil.which("ssh"):
            pytest.skip("needs sshd and ssh")
        self._sshd = sshd
        folder.mkdir(parents=True)
        for key in ("host", "user"):
            command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        self._config = folder / "config"
        self._config.write_text(
            "Host *\n"
            f"  IdentityFile {folder / 'user'}\n"
            "  IdentitiesOnly yes\n"
            "  HostName 127.0.0.1\n"
            "  StrictHostKeyChecking no\n"
            "  UserKnownHostsFile /dev/null\n"
            "  GlobalKnownHostsFile /dev/null\n"
            "  LogLevel ERROR\n"
            "  BatchMode yes\n"
        )
        ssh = f"ssh -F {shlex.quote(str(self._config))}"
        self.env = {"PARALLEL_SSH": ssh, "RSYNC_RSH": ssh}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for name in list(self._daemons):
            self.kill(name)

    def home(self, name: str) -> Path:
        return self._folder / f"{name}.home"

    def add(self, name: str, env: Mapping[str, str]) -> None:
        """`env` is what its sessions know. A host that was killed may be added again."""
        home = self.home(name)
        home.mkdir(exist_ok=True)
        told = {**env, "HOME": str(home), "PARALLEL_HOME": str(home / ".parallel")}
        login = self._folder / f"{name}.login"
        exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in told.items())
        login.write_text(
            f'#!/bin/sh\ncd {shlex.quote(str(home))}\n{exports}exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        login.chmod(0o755)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(parents=True, exist_ok=True)  # sshd insists on it
        port = free_port()
        # The first value that ssh finds counts.
        self._config.write_text(f"Host {name}\n  Port {port}\n{self._config.read_text()}")
        settings = self._folder / f"{name}.sshd"
        settings.write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\n"
            f"HostKey {self._folder / 'host'}\n"
            f"AuthorizedKeysFile {self._folder / 'user.pub'}\n"
            f"ForceCommand {login}\n"
            # bash reads ~/.bashrc under an sshd, and zsh ~/.zshenv: not those of the user.
            f"SetEnv SHLVL=1 HOME={home}\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPrintMotd no\n"
        )
        log = (self._folder / f"{name}.log").open("ab")
        with log:
            self._daemons[name] = subprocess.Popen(
                [self._sshd, "-D", "-e", "-f", str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START
        while self.run(name, "exit 0") != 0:
            if self._daemons[name].poll() is not None or time.monotonic() > deadline:
                said = Path(log.name).read_text().splitlines()
                pytest.skip(f"sshd does not let us in: {said[-1] if said else 'silence'}")
            time.sleep(0.05)

    def run(self, name: str, command: str) -> int:
        ssh = ["ssh", "-F", str(self._config), name, command]
        done = subprocess.run(ssh, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        return done.returncode

    def kill(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        for pid in _family(daemon.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon.wait(60)


def _family(pid: int) -> list[int]:
    """That process and all below it, by what ps says."""
    rows = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for row in rows.decode().splitlines():
        child, parent = map(int, row.split())
        children.setdefault(parent, []).append(child)
    family = [pid]
    for member in family:  # grows while it is walked
        family += children.get(member, ())
    return family
