"""A real sshd on loopback, as this user, on a free port, with keys of its own: what the tests of ssh connect to."""

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
WHY_NOT = "no sshd and ssh here: apt-get install openssh-server openssh-client"


@dataclass
class SshServer:
    """The server, reached as `box` through the configuration `config`; its files lie in `folder`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    temporary: Path

    @property
    def config(self) -> Path:
        return self.folder / "config"

    def left(self) -> list[str]:
        """What lies in the temporary folder of whoever logs in."""
        return sorted(path.name for path in self.temporary.iterdir())

    def sessions(self) -> list[int]:
        """The processes of open connections."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = status.read_text().split("(", 1)[1].rsplit(")", 1)
            except (OSError, IndexError, ValueError):
                continue
            if name.startswith("sshd") and int(rest.split()[1]) == self.process.pid:
                found.append(int(status.parent.name))
        return found

    def new_host_key(self) -> None:
        """Another key than the one that is known."""
        self.stop()
        (self.folder / "host_key").unlink()
        _keygen(self.folder / "host_key")
        self.process = _start(self.folder, self.port)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def start_server(folder: Path) -> SshServer:
    """Start it; it takes connections once this returns."""
    folder.chmod(0o700)
    temporary = folder / "tmp"
    temporary.mkdir()
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host_key", "user_key"):
        _keygen(folder / name)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nMaxStartups 100\nSetEnv TMPDIR={temporary}\n"
    )
    public = (folder / "host_key.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n")
    (folder / "config").write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {folder}/user_key\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n"
    )
    return SshServer(folder, port, _start(folder, port), temporary)


def _keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    assert SSHD is not None
    log = (folder / "log").open("ab")
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.02)
    raise RuntimeError((folder / "log").read_text())
