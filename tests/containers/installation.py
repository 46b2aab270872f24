"""The composed installation as the tests see it: its compose project, and where services are published."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.cli.api import Api, ApiError
from deploy.validation import compose

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "tests/containers/compose.yaml")
#: The services that run Parley's own code, and all that are brought up.
OWN = ("gateway", "worker-chat", "worker-experiment", "maintenance", "flower")
SERVICES = (*OWN, "redis", "postgres", "prometheus")
PARLEY_IMAGE = "parley-tested:local"
TEST_IMAGE = "parley-tests:local"
#: What the image of the tests holds; by the texts of the languages the fake agents know what they are asked.
IN_TESTS = ("tests", "docs", "workers/experiment/languages", "pyproject.toml", "requirements.lock")
#: Seconds until all services must be healthy.
UP = 240
_TIMEOUT = 900.0  # seconds


class User(Api):
    """Somebody with an API key, which can be given to other clients."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self.key = key


class ComposeError(AssertionError):
    """Compose failed; the message is what it said."""


def compose_command() -> list[str]:
    """Compose itself: the binary of the ``validate`` extra, else Docker's plugin.

    Raises:
        FileNotFoundError: there is neither.
    """
    binary = compose.binary()
    if binary is not None:
        return [str(binary)]
    plugin = ["docker", "compose"]
    if shutil.which("docker") and not subprocess.run([*plugin, "version"], capture_output=True).returncode:
        return plugin
    raise FileNotFoundError("there is no compose: install Parley's extra `validate`, or Docker's plugin")


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Installation:
    """One compose project.

    Attributes:
        project: its name; everything that belongs to it begins with that.
        secrets: the folder of its secrets.
        environment: of compose: the engine's, and the variables of the two files.
        pull: what compose does about images that are not here.
    """

    project: str
    secrets: Path
    environment: dict[str, str]
    pull: str

    @classmethod
    def make(cls, directory: Path, environment: dict[str, str], *, pull: str) -> Installation:
        """A new project with secrets and ports of its own; nothing runs yet."""
        secrets = directory / "secrets"
        subprocess.run([ROOT / "scripts" / "compose-secrets", secrets], check=True, stdout=subprocess.DEVNULL)
        # Any variable of ours or of the files that the caller has set is not what is judged here.
        kept = {name: value for name, value in environment.items() if not name.startswith("PARLEY_")}
        variables = {
            "SECRETS_DIR": str(secrets),
            "GATEWAY_PUBLISH": f"127.0.0.1:{free_port()}",
            "TEST_FLOWER_PUBLISH": f"127.0.0.1:{free_port()}",
            "TEST_PROMETHEUS_PUBLISH": f"127.0.0.1:{free_port()}",
            "TEST_MODEL_PUBLISH": f"127.0.0.1:{free_port()}",
            "PARLEY_IMAGE": PARLEY_IMAGE,
            "TEST_IMAGE": TEST_IMAGE,
            "TEST_CONTEXT": str(directory / "context"),
            "PARLEY_OUTBOUND_ALLOW": "fake-model:8080",
            "COMPOSE_PROFILES": "prometheus",
        }
        return cls(f"parley-tests-{os.getpid()}", secrets, {**kept, **variables}, pull)

    @classmethod
    def load(cls, file: Path) -> Installation:
        """The one that :meth:`save` wrote."""
        stored = json.loads(file.read_text())
        return cls(stored["project"], Path(stored["secrets"]), stored["environment"], stored["pull"])

    def stage(self) -> None:
        """Put together what the image of the tests is made of, readable for everybody."""
        context = Path(self.environment["TEST_CONTEXT"])
        shutil.rmtree(context, ignore_errors=True)
        for name in IN_TESTS:
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, context / name)
        for path in (context, *context.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def save(self, file: Path) -> None:
        """Write what another process needs to find it."""
        file.touch(mode=0o600)
        facts = {"project": self.project, "secrets": str(self.secrets), "pull": self.pull}
        file.write_text(json.dumps({**facts, "environment": self.environment}))

    # Compose ------------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        """What stands before the arguments of a compose command."""
        files = [part for name in FILES for part in ("-f", str(ROOT / name))]
        # An empty file: a developer's .env is not what is judged here.
        options = ["--project-directory", str(ROOT), *files, "--env-file", os.devnull, "--progress", "plain"]
        return [*compose_command(), "-p", self.project, *options]

    def compose(
        self, *arguments: str, check: bool = True, timeout: float = _TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a compose command.

        Raises:
            ComposeError: it failed.
        """
        done = subprocess.run(
            [*self.command(), *arguments],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            said = done.stdout[-6000:] + done.stderr[-6000:]
            raise ComposeError(f"compose {' '.join(arguments)} exits {done.returncode}:\n{said}")
        return done

    def config(self) -> dict[str, Any]:
        """The whole configuration, merged and with its variables filled in."""
        return self._merged()

    def config_of(self, profile: str) -> dict[str, Any]:
        """:meth:`config` with the services of one more profile; ``*``: of all."""
        return self._merged("--profile", profile)

    def _merged(self, *options: str) -> dict[str, Any]:
        merged: dict[str, Any] = json.loads(self.compose(*options, "config", "--format", "json").stdout)
        return merged

    def up(self, *services: str, scale: str = "") -> None:
        """Bring ``services`` (default: all) up, and wait until they are healthy."""
        more = ["--scale", scale] if scale else []
        self.compose(
            *("up", "-d", "--wait", "--wait-timeout", str(UP), "--pull", self.pull),
            *("--no-build", "--no-recreate", *more),
            *services,
            timeout=UP + 120,
        )

    def containers(self, service: str) -> list[dict[str, Any]]:
        """The containers of a service as ``compose ps`` tells them, those that have ended included."""
        lines = self.compose("ps", "--all", "--format", "json", service).stdout.splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def exec(self, service: str, *command: str, index: int = 1) -> str:
        """What a command says inside a container of a service."""
        return self.compose("exec", "-T", "--index", str(index), service, *command).stdout

    def down(self) -> None:
        """Take everything down, volumes included."""
        self.compose("--profile", "*", "down", "-v", "--remove-orphans", "-t", "20", check=False)

    def logs(self) -> str:
        """The end of every service's log."""
        return self.compose("logs", "--no-color", "--tail", "120", check=False).stdout

    # From outside -------------------------------------------------------------------------------------------

    def secret(self, name: str) -> str:
        """The content of a secret's file."""
        return (self.secrets / name).read_text().strip()

    def url(self, variable: str) -> str:
        """Where something is published, by the variable that says so."""
        return f"http://{self.environment[variable]}"

    @property
    def admin(self) -> Api:
        """The published gateway, as its administrator."""
        return Api(self.url("GATEWAY_PUBLISH"), self.secret("admin_key"))

    def began(self, service: str) -> str:
        """When the first process of a service's container started, as its kernel counts."""
        return self.exec(service, "cat", "/proc/1/stat").rsplit(")", 1)[1].split()[19]

    def user(self, name: str) -> User:
        """A new user of the published gateway, whose connection is the fake model."""
        made = self.admin.call("POST", "/api/users", {"name": name})
        key = self.admin.call("POST", f"/api/users/{made['id']}/keys", {})["key"]
        user = User(self.url("GATEWAY_PUBLISH"), key)
        settings = {"base_url": "http://fake-model:8080/v1", "api_key": "sk-of-the-fake", "model": "fake"}
        user.call("POST", "/api/connections", {"name": "fake", "provider": "openai", "settings": settings})
        return user


def patiently(ask: Any, until: Any = bool, *, seconds: float = 60.0, pause: float = 0.25) -> Any:
    """Ask again and again until the answer is right; what fails to answer is asked again, too.

    Raises:
        AssertionError: it was not right in time; with the last answer.
    """
    deadline = time.monotonic() + seconds
    answer: Any = None
    while True:
        try:
            answer = ask()
            if until(answer):
                return answer
        except (ApiError, OSError) as error:
            answer = error
        assert time.monotonic() < deadline, f"after {seconds} s: {answer!r}"
        time.sleep(pause)


def names(of: Sequence[dict[str, Any]]) -> list[str]:
    """The names of containers."""
    return sorted(str(one["Name"]) for one in of)
