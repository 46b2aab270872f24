"""``parley keys``: API keys."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.users import JsonOption

app = typer.Typer(help="API keys.", no_args_is_help=True)

UserArgument = Annotated[str, typer.Argument(help="Name or id of the user.")]


@app.command("create")
def create(
    user: UserArgument,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "key",
    scope: Annotated[
        list[str] | None, typer.Option(help="admin or metrics; may be repeated.", show_default=False)
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key for a user (for administrators); it is shown this once."""
    from deploy.cli.access import open_api

    api = open_api(chosen(data_dir))
    found = api.find("/api/users", user, "user")
    key = api.call("POST", f"/api/users/{found['id']}/keys", {"name": name, "scopes": scope or []})
    if as_json:
        typer.echo(json.dumps(key, indent=2))
        return
    typer.echo(key["key"])
    typer.echo("The key is shown this once; it is kept as a hash only.", err=True)


@app.command("list")
def list_keys(user: UserArgument, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List a user's keys, never the keys themselves."""
    from deploy.cli.access import open_api

    api = open_api(chosen(data_dir))
    found = api.find("/api/users", user, "user")
    keys = api.all(f"/api/users/{found['id']}/keys")
    if as_json:
        typer.echo(json.dumps(keys, indent=2))
        return
    for key in keys:
        scopes = f"  ({', '.join(key['scopes'])})" if key["scopes"] else ""
        used = f"  last used {key['last_used_at']}" if key["last_used_at"] else "  never used"
        revoked = f"  revoked {key['revoked_at']}" if key["revoked_at"] else ""
        typer.echo(f"{key['id']}  {key['prefix']}…  {key['name']}{scopes}{used}{revoked}")


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key (parley keys list).")],
    data_dir: DataDirOption = None,
) -> None:
    """Revoke a key, from the next request on."""
    from deploy.cli.access import open_api
    from deploy.cli.api import path_part

    open_api(chosen(data_dir)).call("DELETE", f"/api/keys/{path_part(key)}")
    typer.echo("revoked")
