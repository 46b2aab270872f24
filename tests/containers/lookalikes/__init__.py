"""Base images out of Debian's packages, under the names of the real ones, where no registry can be reached.

They hold what Debian has: its Python, PostgreSQL, Redis and Prometheus. That the real images behave alike in
what nobody looks at here, and their digests, is not shown by them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.containers.podman import Podman

HERE = Path(__file__).parent
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
BASE = f"localhost/lookalike-base:{SUITE}"
#: Folders here by the repository that they stand for.
STANDS_FOR = {
    "python": "python",
    "redis": "redis",
    "postgres": "postgres",
    "prom/prometheus": "prometheus",
}


def folder(image: str) -> str | None:
    """The folder of the look-alike of ``image``, or None where there is none: ``redis:8`` → ``redis``."""
    repository = image.split("@", 1)[0].rsplit(":", 1)[0].removeprefix("docker.io/").removeprefix("library/")
    return STANDS_FOR.get(repository)


def make_base(podman: Podman) -> None:
    """Make the tree that all of them begin with, once."""
    if podman.has_image(BASE):
        return
    tree = podman.root / "base"
    subprocess.run([HERE / "base.sh", tree, SUITE, MIRROR], check=True)
    archive = subprocess.Popen(["tar", "-C", tree, "-c", "."], stdout=subprocess.PIPE)
    podman.run("import", "-c", 'CMD=["bash"]', "-", BASE, stdin=archive.stdout)
    if archive.wait():
        raise RuntimeError(f"tar of {tree} failed")
    subprocess.run(["rm", "-rf", tree], check=True)


def make(podman: Podman, image: str) -> None:
    """Make the look-alike of ``image``, tagged with its name.

    Raises:
        KeyError: there is none.
        RuntimeError: it cannot be built.
    """
    name = folder(image)
    if name is None:
        raise KeyError(image)
    if not podman.has_image(image):
        # One build for all tags: the engine knows the layers again.
        podman.run("build", "--layers", "-t", image, str(HERE / name))
