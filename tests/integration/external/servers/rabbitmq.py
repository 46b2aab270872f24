"""RabbitMQ on the loopback, with a directory and a port mapper of its own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.program import (
    Program,
    find_program,
    free_port,
    require_program,
    until,
)


class RabbitMq:
    """One broker; what it holds outlives its restarts.

    Args:
        directory: of its data; made.
        authority: vouches for it: then it takes connections under TLS only.
        managed: whether it has a management interface, which takes seconds more to start.
    """

    def __init__(self, directory: Path, authority: Authority | None = None, *, managed: bool = False) -> None:
        directory.mkdir()
        # The one in /usr/sbin changes to an account of its own, which cannot write here.
        program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        if not Path(program).exists():
            program = require_program("rabbitmq-server")
        mapper = find_program("epmd") or require_program("epmd")
        mapping, port, talking = free_port(), free_port(), free_port()
        self._authority = authority
        self._managing = free_port() if managed else None
        listeners = (
            [f"listeners.tcp.local = 127.0.0.1:{port}"]
            if authority is None
            else [
                "listeners.tcp = none",
                f"listeners.ssl.local = 127.0.0.1:{port}",
                *_files("ssl_options", authority),
            ]
        )
        if managed:
            listeners += self._management()
        (directory / "rabbitmq.conf").write_text("\n".join((*listeners, "log.console = true", "")))
        (directory / "plugins").write_text("[rabbitmq_management].\n" if managed else "[].\n")
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "RABBITMQ_NODENAME": f"parley-{port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "logs"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(talking),
            # One scheduler, not one for each core that the machine has: a broker of a test has little to do.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            "ERL_EPMD_PORT": str(mapping),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self._mapper = Program("epmd", [mapper], mapping, directory.parent, env=environment)
        self._broker = Program(directory.name, [program], port, directory.parent, env=environment)

    @property
    def url(self) -> str:
        """For Celery, without the files that TLS takes."""
        scheme = "amqp" if self._authority is None else "amqps"
        return f"{scheme}://guest:guest@localhost:{self._broker.port}//"

    def _management(self) -> list[str]:
        kind = "tcp" if self._authority is None else "ssl"
        return [
            f"management.{kind}.ip = 127.0.0.1",
            f"management.{kind}.port = {self._managing}",
            *([] if self._authority is None else _files("management.ssl", self._authority)),
            # Lengths are told a second old, not five.
            "collect_statistics_interval = 1000",
        ]

    @property
    def management_url(self) -> str:
        """Where its management interface is, without a user."""
        assert self._managing is not None, "it has none"
        scheme = "http" if self._authority is None else "https"
        return f"{scheme}://localhost:{self._managing}"

    @property
    def settings(self) -> dict[str, object]:
        """Parley's settings for it."""
        if self._authority is None:
            return {"broker_url": self.url}
        return {
            "broker_url": self.url,
            "broker_tls_ca": self._authority.certificate,
            "broker_tls_cert": self._authority.client.certificate,
            "broker_tls_key": self._authority.client.key,
        }

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        if not self._mapper.ready():
            self._mapper.start()
        self._broker.start(timeout=90.0)
        if self._managing is not None:
            until(self._managed, 60.0, "RabbitMQ's management interface answers")

    def _managed(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._managing), 1.0).close()
        except OSError:
            return False
        return True

    def running(self) -> bool:
        """Whether it takes connections now."""
        return self._broker.ready()

    def kill(self) -> None:
        """SIGKILL."""
        self._broker.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing is confirmed."""
        self._broker.pause()

    def resume(self) -> None:
        """End of ``pause``."""
        self._broker.resume()

    def end(self) -> None:
        """End it and its port mapper."""
        self._broker.resume()
        self._broker.kill()
        self._mapper.kill()


def _files(section: str, authority: Authority) -> list[str]:
    """Lines of the configuration: who vouches, and that clients are asked for a certificate."""
    return [
        f"{section}.cacertfile = {authority.certificate}",
        f"{section}.certfile = {authority.server.certificate}",
        f"{section}.keyfile = {authority.server.key}",
        f"{section}.verify = verify_peer",
        f"{section}.fail_if_no_peer_cert = true",
    ]
