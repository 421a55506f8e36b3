"""The commands of ``rayreward versions``.

What arrives: the words of the command line. What leaves: a call of `rayreward.cli.versions`, which is imported only
then.
"""

from __future__ import annotations

from typing import Annotated

import typer

from rayreward.cli.jobs_app import Json

versions = typer.Typer(help="Versions of served rewards: list, promote, roll back, canary, shadow.")

Url = Annotated[
    str | None, typer.Option(metavar="URL", help="A service's root; RAYREWARD_URL or port 8000 here by default.")
]
Reward = Annotated[str, typer.Argument(metavar="REWARD", help="As the service names it.")]


@versions.callback(invoke_without_command=True)
def root(context: typer.Context, url: Url = None, json: Json = False) -> None:
    """Versions of served rewards: list, promote, roll back, canary, shadow.

    Without a command: every reward with its versions, and who meets which.
    The bearer token is RAYREWARD_TOKEN's.
    """
    context.obj = url
    if context.invoked_subcommand is None:
        from rayreward.cli.versions import list_versions

        raise typer.Exit(list_versions(url, is_json=json))


@versions.command("promote")
def promote(context: typer.Context, reward: Reward, url: Url = None, json: Json = False) -> None:
    """Let the candidate answer everything; the version that did stays loaded."""
    from rayreward.cli.versions import change_versions

    raise typer.Exit(change_versions(url or context.obj, reward, action="promote", is_json=json))


@versions.command("rollback")
def rollback(context: typer.Context, reward: Reward, url: Url = None, json: Json = False) -> None:
    """Let the version that was live before answer everything again."""
    from rayreward.cli.versions import change_versions

    raise typer.Exit(change_versions(url or context.obj, reward, action="roll_back", is_json=json))


@versions.command("set")
def set_shares(
    context: typer.Context,
    reward: Reward,
    canary: Annotated[
        float | None, typer.Option(min=0, max=100, metavar="PERCENT", help="Of the prompts: the candidate answers.")
    ] = None,
    shadow: Annotated[
        float | None, typer.Option(min=0, max=100, metavar="PERCENT", help="Of the prompts: it scores them unseen.")
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Give the candidate other shares of the prompts.

    A prompt's samples all meet one version.
    """
    from rayreward.cli.versions import change_versions

    shares = {"canary_percent": canary, "shadow_percent": shadow}
    raise typer.Exit(change_versions(url or context.obj, reward, action="set", is_json=json, **shares))
