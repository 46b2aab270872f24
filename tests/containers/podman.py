"""A container engine of our own: podman's Docker-compatible socket, in one directory that goes away.

It needs root, and either the packages below or ``apt-get`` to install them. Storage, configuration, networks
and the socket lie in the directory that is given; nothing of a podman that the machine has is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Debian's packages: the engine, its runtime, its networks, an init, and what makes base images.
PACKAGES = (
    "podman",
    "buildah",
    "runc",
    "netavark",
    "aardvark-dns",
    "catatonit",
    "debootstrap",
    "iptables",
    "nftables",
)
_PROGRAMS = ("podman", "runc", "debootstrap", "iptables", "nft", "catatonit")
_START_TIMEOUT = 30.0  # seconds
#: Until the next question to a container that is well, or has no check, and to one that is not; in seconds.
_WELL, _AILING = 10.0, 1.0

# Each line is needed somewhere: limits below what a sandboxed root may raise; runc where control groups are
# of both versions; our own images under the names of the hub's.
_CONTAINERS = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
init_path = "{init}"
[network]
network_backend = "netavark"
network_config_dir = "{root}/networks"
[engine]
runtime = "runc"
compat_api_enforce_docker_hub = false
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 2
tmp_dir = "{root}/tmp"
volume_path = "{root}/volumes"
"""
_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{root}/storage"\nrunroot = "{root}/run"\n'
_REGISTRIES = "unqualified-search-registries = []\n"


def why_not() -> str:
    """Why podman cannot be used here, or an empty string when it can."""
    if os.geteuid() != 0:
        return "podman as root needs root"
    if any(shutil.which(program) is None for program in _PROGRAMS) and shutil.which("apt-get") is None:
        return f"{', '.join(_missing())} not found, and there is no apt-get to install them"
    return ""


def _missing() -> list[str]:
    return [program for program in _PROGRAMS if shutil.which(program) is None]


def install() -> None:
    """Install what is missing.

    Raises:
        subprocess.CalledProcessError: the packages cannot be had.
    """
    if not _missing():
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES],
    ):
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class Podman:
    """A podman with a directory of its own, whose service listens on ``socket``."""

    root: Path

    @property
    def socket(self) -> Path:
        """Where the Docker-compatible service listens."""
        return self.root / "podman.sock"

    @property
    def environment(self) -> dict[str, str]:
        """What every podman command, and the service, must have in its environment."""
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self.root / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.root / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.root / "registries.conf"),
        }

    def configure(self) -> None:
        """Write the configuration."""
        self.root.mkdir(parents=True, exist_ok=True)
        for name in ("networks", "tmp", "volumes"):
            (self.root / name).mkdir(exist_ok=True)
        init = shutil.which("catatonit")
        (self.root / "containers.conf").write_text(_CONTAINERS.format(root=self.root, init=init))
        (self.root / "storage.conf").write_text(_STORAGE.format(root=self.root))
        (self.root / "registries.conf").write_text(_REGISTRIES)

    def run(self, *arguments: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a podman command and give what it said.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        done = subprocess.run(
            ["podman", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            **options,  # type: ignore[call-overload]
        )
        if check and done.returncode:
            raise RuntimeError(f"podman {' '.join(arguments)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done  # type: ignore[no-any-return]

    def has_image(self, name: str) -> bool:
        """Whether the image is here."""
        return self.run("image", "exists", name, check=False).returncode == 0

    @contextlib.contextmanager
    def service(self) -> Iterator[None]:
        """Serve Docker's interface, and run the health checks, until the end."""
        self.socket.unlink(missing_ok=True)
        with (self.root / "service.log").open("ab") as log:
            process = subprocess.Popen(
                ["podman", "system", "service", "-t", "0", f"unix://{self.socket}"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        over = threading.Event()
        checks = threading.Thread(target=self._check_health, args=(over,), daemon=True)
        try:
            deadline = time.monotonic() + _START_TIMEOUT
            while not self.socket.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"podman's service did not start: {(self.root / 'service.log').read_text()[-3000:]}"
                    )
                time.sleep(0.05)
            checks.start()
            yield
        finally:
            over.set()
            if checks.is_alive():
                checks.join()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _check_health(self, over: threading.Event) -> None:
        """Run the containers' health checks: podman leaves that to systemd, which may not be there.

        One that is well is asked seldom: a question starts a process, and tests of time limits run beside it.
        """
        due: dict[str, float] = {}
        while not over.wait(0.5):
            running = self.run("ps", "--format", "{{.ID}} {{.StartedAt}}", check=False).stdout.splitlines()
            due = {started: due.get(started, 0.0) for started in running}
            for started, at in due.items():
                if over.is_set():
                    return
                if time.monotonic() >= at:
                    well = self.run("healthcheck", "run", started.split()[0], check=False).returncode != 1
                    due[started] = time.monotonic() + (_WELL if well else _AILING)

    def remove(self, *, images: bool) -> None:
        """Remove all containers, volumes and networks of ours, and with ``images`` the directory."""
        self.run("rm", "--all", "--force", "--time", "2", check=False)
        self.run("volume", "prune", "--force", check=False)
        self.run("network", "prune", "--force", check=False)
        if images:
            self.run("rmi", "--all", "--force", check=False)
            subprocess.run(["umount", "-q", str(self.root / "storage" / "overlay")], check=False)
            shutil.rmtree(self.root, ignore_errors=True)
