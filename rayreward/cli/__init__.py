"""The command line: `main` is what the `rayreward` script calls. A command imports what it needs when it is called."""

from __future__ import annotations


def main() -> None:
    """Run the command line; ends the process with the exit codes of `rayreward.cli.output`."""
    from rayreward.cli.app import app

    app()
