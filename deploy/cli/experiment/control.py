"""``parley experiment cancel``, ``resume``, ``fork`` and ``replay``."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.data_dir import DataDirOption, chosen
from deploy.cli.experiment.options import (
    EXIT_STATUS,
    DetachOption,
    EventsAsJsonOption,
    ExperimentArgument,
    NameOption,
    SetOption,
)
from deploy.cli.users import JsonOption
from deploy.exit_codes import ExitCode


def cancel(
    experiment: ExperimentArgument, as_json: JsonOption = False, data_dir: DataDirOption = None
) -> None:
    """Cancel a run; its steps are kept, and it can be resumed. One that has ended stays as it is."""
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path

    api = open_api(chosen(data_dir))
    answer = api.call("POST", experiment_path(chosen_experiment(api, experiment), "cancel"))
    typer.echo(json.dumps(answer, indent=2) if as_json else answer["message"])


def resume(
    experiment: ExperimentArgument,
    budget_tokens: Annotated[
        str | None, typer.Option(help="New limit of tokens, in both directions; none: no limit.")
    ] = None,
    budget_calls: Annotated[str | None, typer.Option(help="New limit of calls to models; or none.")] = None,
    budget_seconds: Annotated[str | None, typer.Option(help="New limit of seconds; or none.")] = None,
    detach: DetachOption = False,
    as_json: EventsAsJsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Let a failed or cancelled run go on from its last step, and follow it; nothing recorded runs again.

    Limits are of the whole run, what was used before included; those that are not given stay.
    """
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path
    from deploy.cli.experiment.events import RunEvents
    from deploy.cli.experiment.following import follow_to_the_end, look_of
    from deploy.cli.experiment.running import invalid_is_usage
    from deploy.cli.experiment.screens import FollowedRun

    given = {"tokens": budget_tokens, "calls": budget_calls, "seconds": budget_seconds}
    budget = {name: _limit(name, text) for name, text in given.items() if text is not None}
    data = chosen(data_dir)
    api = open_api(data)
    run = FollowedRun(chosen_experiment(api, experiment))
    last_id: str | None = None
    if not detach and not api.get(experiment_path(run.id))["active"]:
        # What happened before is known, and is not told again.
        before = RunEvents(api, run.id)
        for event in before:
            run.take(event)
        last_id = before.last_id
    with invalid_is_usage():
        api.call("POST", experiment_path(run.id, "resume"), {"budget": budget} if budget else {})
    run.last_event = None
    if detach:
        _say_accepted(run, as_json=as_json)
        return
    follow_to_the_end(api, data, [run], as_json=as_json, last_id=last_id, look=look_of(api, run))


def fork(
    experiment: ExperimentArgument,
    round: Annotated[
        int, typer.Option(min=1, max=1000, help="The first round of the group with the changes.")
    ],
    set_: SetOption = None,
    changes: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file of keys and new values; --set comes after it.",
            exists=True,
            dir_okay=False,
            readable=True,
            show_default=False,
        ),
    ] = None,
    name: NameOption = None,
    connection: Annotated[
        str | None,
        typer.Option(help="Name or id of the connection that answers for every role.", show_default=False),
    ] = None,
    detach: DetachOption = False,
    as_json: EventsAsJsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Begin a new run that has everything before a round in common with another, and follow it."""
    from deploy.cli.access import open_api
    from deploy.cli.experiment.changes import read_changes
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path
    from deploy.cli.experiment.following import follow_to_the_end, look_of
    from deploy.cli.experiment.running import invalid_is_usage
    from deploy.cli.experiment.screens import FollowedRun

    body: dict[str, Any] = {"round": round, "changes": read_changes(changes, set_ or [])}
    if name is not None:
        body["name"] = name
    if connection is not None:
        body["connection"] = connection
    data = chosen(data_dir)
    api = open_api(data)
    path = experiment_path(chosen_experiment(api, experiment), "fork")
    with invalid_is_usage():
        accepted = api.call("POST", path, body, headers={"Idempotency-Key": str(uuid.uuid4())})
    run = FollowedRun(accepted["experiment_id"])
    if detach:
        _say_accepted(run, as_json=as_json)
        return
    follow_to_the_end(api, data, [run], as_json=as_json, compact=True, look=look_of(api, run))


def replay(
    experiment: ExperimentArgument,
    name: NameOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Run a finished experiment again from its recorded answers, without a call to a model.

    Tells whether the digest of the result is the same.

    Exit status: 0 it is the same; 1 it differs, or the replay failed.
    """
    from deploy.cli.access import open_api
    from deploy.cli.experiment.choosing import chosen_experiment, experiment_path
    from deploy.cli.experiment.events import RunEvents

    api = open_api(chosen(data_dir))
    source = chosen_experiment(api, experiment)
    accepted = api.call(
        "POST",
        experiment_path(source, "replay"),
        {} if name is None else {"name": name},
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )
    events = RunEvents(api, accepted["experiment_id"])
    for _ in events:
        pass
    replayed = events.experiment
    assert replayed is not None
    expected = api.get(experiment_path(source))["result_hash"]
    if as_json:
        fields = ("id", "source_id", "status", "matches_source", "result_hash", "calls", "seconds", "error")
        shown = {name: replayed[name] for name in fields}
        typer.echo(json.dumps({**shown, "source_result_hash": expected}, indent=2))
    elif replayed["matches_source"]:
        typer.echo(f"The same: {replayed['result_hash']} ({replayed['id']})")
    elif replayed["status"] == "succeeded":
        typer.echo(f"Different: {replayed['result_hash']}, and the source has {expected} ({replayed['id']})")
    else:
        error = replayed["error"] or {}
        typer.echo(
            f"The replay {replayed['id']} {replayed['status']}: {error.get('message') or 'no reason given'}"
        )
    if not replayed["matches_source"]:
        raise typer.Exit(ExitCode.FAILED)


for _command in (resume, fork):
    _command.__doc__ = f"{(_command.__doc__ or '').rstrip()}\n\n    {EXIT_STATUS}\n    "


def _say_accepted(run: Any, *, as_json: bool) -> None:
    from deploy.cli.experiment.screens import JsonScreen

    if as_json:
        JsonScreen.outcome([run], ExitCode.OK)
    else:
        typer.echo(run.id)


def _limit(name: str, text: str) -> int | None:
    if text == "none":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise typer.BadParameter(
            f"{text!r} is neither a whole number from 1 nor none", param_hint=f"--budget-{name}"
        )
    return int(text)
