"""``parley users``: who may use this Parley."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from deploy.cli.data_dir import DataDirOption, chosen

app = typer.Typer(help="Users (for administrators).", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the new user.")],
    admin: Annotated[bool, typer.Option("--admin", help="May administrate.")] = False,
    no_key: Annotated[bool, typer.Option("--no-key", help="Make no first API key.")] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a user and a first API key, which is shown this once."""
    from deploy.cli.access import open_api

    api = open_api(chosen(data_dir))
    user = api.call("POST", "/api/users", {"name": name, "is_admin": admin})
    key: dict[str, Any] | None = None
    if not no_key:
        body = {"name": "first", "scopes": ["admin"] if admin else []}
        key = api.call("POST", f"/api/users/{user['id']}/keys", body)
    if as_json:
        typer.echo(json.dumps({**user, "key": key["key"] if key else None}, indent=2))
        return
    typer.echo(f"user {user['name']} ({user['id']})")
    if key:
        typer.echo(f"key  {key['key']}")
        typer.echo("The key is shown this once; it is kept as a hash only.", err=True)


@app.command("list")
def list_users(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the users."""
    from deploy.cli.access import open_api

    users = open_api(chosen(data_dir)).all("/api/users")
    if as_json:
        typer.echo(json.dumps(users, indent=2))
        return
    for user in users:
        marks = [mark for mark, on in (("admin", user["is_admin"]), ("disabled", user["disabled"])) if on]
        typer.echo(f"{user['id']}  {user['name']}" + (f"  ({', '.join(marks)})" if marks else ""))


@app.command("disable")
def disable(
    user: Annotated[str, typer.Argument(help="Name or id.")],
    data_dir: DataDirOption = None,
) -> None:
    """Refuse a user's keys from now on."""
    _set_disabled(user, data_dir, True)


@app.command("enable")
def enable(
    user: Annotated[str, typer.Argument(help="Name or id.")],
    data_dir: DataDirOption = None,
) -> None:
    """Accept a disabled user's keys again."""
    _set_disabled(user, data_dir, False)


def _set_disabled(user: str, data_dir: Any, disabled: bool) -> None:
    from deploy.cli.access import open_api

    api = open_api(chosen(data_dir))
    found = api.find("/api/users", user, "user")
    api.call("PATCH", f"/api/users/{found['id']}", {"disabled": disabled})
    typer.echo(f"user {found['name']} is {'disabled' if disabled else 'enabled'}")
