"""RabbitMQ on the loopback, with a directory and a port mapper of its own."""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.program import Program, find_program, free_port, require_program


class RabbitMq:
    """One broker; what it holds outlives its restarts.

    Args:
        directory: of its data; made.
        authority: vouches for it: then it takes connections under TLS only.
    """

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        directory.mkdir()
        # The one in /usr/sbin changes to an account of its own, which cannot write here.
        program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        if not Path(program).exists():
            program = require_program("rabbitmq-server")
        mapper = find_program("epmd") or require_program("epmd")
        mapping, port, talking = free_port(), free_port(), free_port()
        self._authority = authority
        listeners = (
            [f"listeners.tcp.local = 127.0.0.1:{port}"]
            if authority is None
            else [
                "listeners.tcp = none",
                f"listeners.ssl.local = 127.0.0.1:{port}",
                f"ssl_options.cacertfile = {authority.certificate}",
                f"ssl_options.certfile = {authority.server.certificate}",
                f"ssl_options.keyfile = {authority.server.key}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = true",
            ]
        )
        (directory / "rabbitmq.conf").write_text("\n".join((*listeners, "log.console = true", "")))
        (directory / "plugins").write_text("[].\n")
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
