"""PostgreSQL under TLS, and a pooler before one."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import psycopg

from deploy.local.account import Account, postgres_account
from deploy.local.postgres import PORT, SUPERUSER, EmbeddedPostgres
from deploy.local.process import run_command
from tests.integration.external.servers.certificates import Authority
from tests.integration.external.servers.program import Program, free_port, require_program, until

PASSWORD = "of-the-tests"


def give(path: Path, account: Account | None) -> Path:
    """Let the account of a server own a file or directory."""
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


class EncryptedPostgres:
    """A PostgreSQL that takes password logins under TLS and no others."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        account = postgres_account()
        programs = Path(require_program("initdb")).parent
        if not (programs / "postgres").exists():
            require_program("postgres")
        data = directory / "encrypted"
        data.mkdir(mode=0o700)
        give(data, account)
        file = directory / "password"
        file.write_text(PASSWORD)
        password = give(file, account)
        status, told = run_command(
            [
                str(programs / "initdb"),
                *("-D", str(data), "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password}"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            account=account,
        )
        assert status == 0, told
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        give(data / "pg_hba.conf", account)
        for source, name in (
            (authority.server.certificate, "server.pem"),
            (authority.server.key, "server.key"),
        ):
            shutil.copy(source, data / name)
            (data / name).chmod(0o600)
            give(data / name, account)
        self.authority = authority
        port = free_port()
        options = {
            "ssl": "on",
            "ssl_cert_file": "server.pem",
            "ssl_key_file": "server.key",
            "fsync": "off",
            "log_connections": "on",
        }
        command = [
            str(programs / "postgres"),
            *("-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ]
        self.program = Program(
            "encrypted-postgres", command, port, directory, account=account, ends_by=signal.SIGINT
        )

    def start(self) -> None:
        """Start it and wait until it takes logins."""
        self.program.start()
        until(self._takes_logins, 30.0, "the encrypted PostgreSQL takes logins")

    def _takes_logins(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str, *, host: str = "localhost", ca: Path | None = None) -> str:
        """A URL as its operator would write it."""
        trusted = ca or self.authority.certificate
        return (
            f"postgresql://{SUPERUSER}:{PASSWORD}@{host}:{self.program.port}/{database}"
            f"?sslmode=verify-full&sslrootcert={trusted}"
        )


class PgBouncer:
    """A pooler in transaction mode before a server."""

    def __init__(self, directory: Path, server: EmbeddedPostgres, *, pool_size: int = 4) -> None:
        account = postgres_account()
        if account is not None:
            # The pooler runs as that account, and logs in by the socket as the kernel knows it.
            rules = server.data / "pg_ident.conf"
            rules.write_text(f"{rules.read_text()}parley {account.name} {SUPERUSER}\n")
            server.sql("SELECT pg_reload_conf()")
        self.port = free_port()
        folder = directory / "pgbouncer"
        folder.mkdir()
        users = folder / "users.txt"
        users.write_text(f'"{SUPERUSER}" "{PASSWORD}"\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            "\n".join(
                (
                    "[databases]",
                    f"* = host={server.socket_dir} port={PORT} user={SUPERUSER}",
                    "[pgbouncer]",
                    "listen_addr = 127.0.0.1",
                    f"listen_port = {self.port}",
                    "unix_socket_dir =",
                    "auth_type = plain",
                    f"auth_file = {users}",
                    f"admin_users = {SUPERUSER}",
                    "pool_mode = transaction",
                    f"default_pool_size = {pool_size}",
                    "max_client_conn = 200",
                    "",
                )
            )
        )
        for path in (folder, users, configuration):
            give(path, account)
        command = [require_program("pgbouncer"), str(configuration)]
        self.program = Program(
            "pgbouncer", command, self.port, directory, account=account, ends_by=signal.SIGINT
        )

    def url(self, database: str) -> str:
        """A URL of a database behind it."""
        return f"postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"
