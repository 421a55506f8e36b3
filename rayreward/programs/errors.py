"""Why a sample could not be graded, as opposed to what its program did."""

from __future__ import annotations

from rayreward.types import FailureKind


class GradingError(Exception):
    """The sample fails; its program is not to blame.

    Attributes:
        kind: the failure's kind.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])
