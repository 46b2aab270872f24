"""Redis as operators run it: under TLS, with an ACL, with a replica and Sentinels."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.program import Program, free_port, require_program, until

PASSWORD = "of/the+tests?"
MASTER = "the-master"
#: Milliseconds until a Sentinel takes a silent Redis for down.
DOWN_AFTER = 1000


class RedisProgram(Program):
    """One Redis, with an append-only file.

    Args:
        directory: of its data; made.
        authority: vouches for it: then it takes connections under TLS only.
        acl: lines of its ACL file beside that of the default user, which has every right and ``PASSWORD``.
        master: port of the server that it is a replica of.
        ask_clients: whether it takes clients with a certificate only.
    """

    def __init__(
        self,
        directory: Path,
        *,
        authority: Authority | None = None,
        acl: tuple[str, ...] = (),
        master: int | None = None,
        ask_clients: bool = False,
    ) -> None:
        directory.mkdir()
        port = free_port()
        self.authority = authority
        self.url = f"{'rediss' if authority else 'redis'}://:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0"
        (directory / "users.acl").write_text(
            "\n".join((f"user default on >{PASSWORD} ~* &* +@all", *acl, ""))
        )
        settings = [
            "bind 127.0.0.1",
            f"dir {directory}",
            "appendonly yes",
            'save ""',
            "maxmemory-policy noeviction",
            f"aclfile {directory / 'users.acl'}",
            f"masterauth {PASSWORD}",
            "repl-diskless-sync-delay 0",
            *_tls(port, authority, ask_clients=ask_clients),
        ]
        if master is not None:
            settings.append(f"replicaof 127.0.0.1 {master}")
        (directory / "redis.conf").write_text("\n".join(settings) + "\n")
        command = [require_program("redis-server"), str(directory / "redis.conf")]
        super().__init__(directory.name, command, port, directory.parent)

    def client(self) -> redis.Redis:
        """A client with every right."""
        issued = self.authority.client if self.authority else None
        files: dict[str, Any] = {}
        if self.authority and issued:
            files = {
                "ssl_ca_certs": str(self.authority.certificate),
                "ssl_certfile": str(issued.certificate),
                "ssl_keyfile": str(issued.key),
            }
        return redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=5.0, **files)


def _tls(port: int, authority: Authority | None, *, ask_clients: bool) -> list[str]:
    if authority is None:
        return [f"port {port}"]
    return [
        "port 0",
        f"tls-port {port}",
        f"tls-cert-file {authority.server.certificate}",
        f"tls-key-file {authority.server.key}",
        f"tls-ca-cert-file {authority.certificate}",
        f"tls-auth-clients {'yes' if ask_clients else 'no'}",
        "tls-replication yes",
    ]


class WatchedRedis:
    """A master, a replica and three Sentinels.

    ``kill``, ``start``, ``pause`` and ``resume`` are those of the server that was the master first.
    """

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        program = require_program("redis-sentinel")
        self.first = RedisProgram(directory / "first", authority=authority)
        self.second = RedisProgram(directory / "second", authority=authority, master=self.first.port)
        self.sentinels: list[Program] = []
        self._authority = authority
        for number in range(3):
            port = free_port()
            file = directory / f"sentinel-{number}" / "sentinel.conf"
            file.parent.mkdir()
            file.write_text(
                "\n".join(
                    (
                        "bind 127.0.0.1",
                        f"dir {file.parent}",
                        f"sentinel monitor {MASTER} 127.0.0.1 {self.first.port} 2",
                        f"sentinel auth-pass {MASTER} {PASSWORD}",
                        f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}",
                        f"sentinel failover-timeout {MASTER} 6000",
                        *_tls(port, authority, ask_clients=False),
                        "",
                    )
                )
            )
            self.sentinels.append(Program(f"sentinel-{number}", [program, str(file)], port, directory))

    @property
    def settings(self) -> dict[str, object]:
        """Parley's settings for it; the address in the URL is nobody's."""
        scheme, rest = self.first.url.split("://")
        login = rest.split("@")[0]
        found: dict[str, object] = {
            "redis_url": f"{scheme}://{login}@redis.invalid:1/0",
            "redis_sentinels": ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels),
            "redis_sentinel_master": MASTER,
        }
        if self._authority is not None:
            found["redis_tls_ca"] = self._authority.certificate
        return found

    @property
    def url(self) -> str:
        """URL of the server that is the master now."""
        return self.master().url

    def start_all(self) -> None:
        """Start everything, and wait until each Sentinel knows the replica and the others."""
        for program in (self.first, self.second, *self.sentinels):
            program.start()
        for sentinel in self.sentinels:
            until(lambda sentinel=sentinel: self._knows_all(sentinel), 30.0, f"{sentinel.name} knows all")

    def kill_all(self) -> None:
        """End everything."""
        for program in (*self.sentinels, self.first, self.second):
            program.resume()
            program.kill()

    def master(self) -> RedisProgram:
        """The server that a majority of the Sentinels calls the master."""
        ports = [int(self._ask(one, "GET-MASTER-ADDR-BY-NAME", MASTER)[1]) for one in self.sentinels]
        port = max(set(ports), key=ports.count)
        return self.first if port == self.first.port else self.second

    def kill(self) -> None:
        """SIGKILL to the first master."""
        self.first.kill()

    def start(self) -> None:
        """Start it again."""
        self.first.start()

    def pause(self) -> None:
        """SIGSTOP to it."""
        self.first.pause()

    def resume(self) -> None:
        """SIGCONT to it."""
        self.first.resume()

    def _knows_all(self, sentinel: Program) -> bool:
        told = self._ask(sentinel, "MASTER", MASTER)
        if isinstance(told, list):
            told = dict(zip(told[::2], told[1::2], strict=True))
        known = (int(told["num-slaves"]), int(told["num-other-sentinels"]))
        return known == (1, 2) and "down" not in str(told["flags"])

    def _ask(self, sentinel: Program, *command: str) -> Any:
        options: dict[str, Any] = {}
        if self._authority is not None:
            options = {"ssl": True, "ssl_ca_certs": str(self._authority.certificate)}
        with redis.Redis(port=sentinel.port, decode_responses=True, socket_timeout=2.0, **options) as client:
            return client.execute_command(f"SENTINEL {command[0]}", *command[1:])
