"""``python -m rayreward.jobs`` is ``rayreward jobs``, for ``ray job submit … -- python -m rayreward.jobs run SPEC``."""

from __future__ import annotations


def main() -> None:
    """Run the command that the words name."""
    import sys

    from rayreward.cli.app import app

    app(["jobs", *sys.argv[1:]])


if __name__ == "__main__":
    main()
