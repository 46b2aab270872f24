"""``python -m tests.containers``: build the image, bring docker-compose.yml up, judge it, take it down.

On a machine with Docker the real images are pulled. Elsewhere, as root, a podman is started in a temporary
directory, and look-alike base images are made out of Debian's packages (:mod:`tests.containers.lookalikes`).
Where no engine can be had this says so, loudly, and exits with 0; a test that fails exits with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.containers import lookalikes
from tests.containers.engine import Engine, NoEngineError, running
from tests.containers.installation import ROOT, Installation

#: Images that the integration tests start.
_PULLED_BY_TESTS = ("redis:8", "postgres:17")
#: Folders whose tests need no Postgres and no Redis, or start their own: the main suite has them.
_NOT_ON_CONTAINERS = ("external", "providers", "sandbox")
_LIMIT = 2100  # seconds that all of it may take


class Steps:
    """Says what is done, and at the end how long each of it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._done: list[tuple[str, float]] = []
        self._current: tuple[str, float] | None = None

    def __call__(self, name: str) -> None:
        """The next step begins."""
        self.finish()
        print(f"\n== {name}", flush=True)
        self._current = (name, time.monotonic())

    def finish(self) -> None:
        """The current step has ended."""
        if self._current:
            name, began = self._current
            self._done.append((name, time.monotonic() - began))
        self._current = None

    def report(self) -> None:
        """Every step with its seconds."""
        self.finish()
        print("\n== how long it took")
        for name, seconds in (*self._done, ("altogether", time.monotonic() - self._began)):
            print(f"{seconds:8.1f} s  {name}")
        sys.stdout.flush()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/containers", description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("auto", "docker", "podman"), default="auto")
    parser.add_argument(
        "--directory", type=Path, help="keep podman's images here for the next run, instead of nowhere"
    )
    parser.add_argument("--skip", action="append", default=[], choices=("compose", "testcontainers"))
    parser.add_argument("--leave-up", action="store_true", help="leave it running, and say how to reach it")
    parser.add_argument("pytest", nargs="*", help="what pytest is given; default: tests/containers")
    return parser.parse_args(arguments)


def _base_images(engine: Engine, images: list[str], step: Steps) -> None:
    """Make the images that the files name where they cannot be pulled."""
    if engine.own is None:
        return
    step("look-alike base images: Debian")
    lookalikes.make_base(engine.own)
    for image in images:
        if lookalikes.folder(image):
            step(f"look-alike of {image}")
            lookalikes.make(engine.own, image)
        else:
            print(f"there is no look-alike of {image}: not tested")


def _from(dockerfile: Path) -> set[str]:
    """The images that a Dockerfile begins with."""
    return {
        name
        for name in re.findall(r"^FROM\s+(?:--\S+\s+)?(\S+)", dockerfile.read_text(), re.MULTILINE)
        if ":" in name
    }


def _pytest(arguments: list[str], environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=_LIMIT).returncode


def _compose(engine: Engine, directory: Path, options: argparse.Namespace, step: Steps) -> int:
    installation = Installation.make(directory, engine.environment, pull="never" if engine.own else "missing")
    used = {service["image"] for service in installation.config()["services"].values()}
    used -= {installation.environment["PARLEY_IMAGE"], installation.environment["TEST_IMAGE"]}
    _base_images(engine, sorted(used | _from(ROOT / "deploy/docker/Dockerfile")), step)
    step("build: the image")
    installation.compose("build", "migrate")
    step("build: the image of the tests")
    installation.stage()
    installation.compose("build", "fake-model")
    file = directory / "installation.json"
    installation.save(file)
    failed = 1
    try:
        step("up: everything is healthy")
        installation.up()
        step("tests of the composed installation")
        environment = {**installation.environment, "PARLEY_TEST_INSTALLATION": str(file)}
        failed = _pytest(options.pytest or ["tests/containers", "--durations=0"], environment)
        if options.leave_up:
            print(f"PARLEY_TEST_INSTALLATION={file}; it is taken down when Enter is pressed")
            sys.stdin.readline()
    finally:
        if failed:
            print(installation.logs())
        step("down")
        installation.down()
    return failed


def _testcontainers(engine: Engine, step: Steps) -> int:
    _base_images(engine, list(_PULLED_BY_TESTS), step)
    step("integration tests on testcontainers")
    environment = {**engine.environment, "PARLEY_TEST_BACKEND": "testcontainers"}
    if engine.own is not None:
        # The image of its own janitor cannot be pulled; and a machine that is itself a container must not be
        # taken for one of this engine's.
        environment |= {
            "TESTCONTAINERS_RYUK_DISABLED": "true",
            "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
        }
    left_out = [f"--ignore=tests/integration/{name}" for name in _NOT_ON_CONTAINERS]
    return _pytest(["tests/integration", "-q", "-n", "2", *left_out], environment)


def main(arguments: list[str]) -> int:
    """Run what ``arguments`` ask for; the exit status."""
    options = _options(arguments)
    step = Steps()
    failed = 0
    with contextlib.ExitStack() as resources:
        directory = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="parley-containers-")))
        # The engine's services run as other accounts, and pass through.
        directory.chmod(0o711)
        try:
            engine = resources.enter_context(
                running(
                    options.engine,
                    (options.directory or directory / "engine").resolve(),
                    keep=options.directory is not None,
                    step=step,
                )
            )
        except NoEngineError as error:
            print("\n" + "!" * 100, file=sys.stderr)
            print(f"NOT RUN: the composed installation was not tested. {error}", file=sys.stderr)
            print("!" * 100 + "\n", file=sys.stderr)
            return 0
        print(f"engine: {engine.name}", flush=True)
        if "compose" not in options.skip:
            failed |= _compose(engine, directory, options, step)
        if "testcontainers" not in options.skip and not failed:
            failed |= _testcontainers(engine, step)
        step("removing the engine's directory")
    step.report()
    if engine.own is not None:
        print("run on look-alikes of the base images; the real ones were not tried", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
