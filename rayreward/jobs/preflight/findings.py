"""One thing that is wrong, and what to do about it.

What arrives: findings of all checks. What leaves: one `ConfigError` with every error in it, or the warnings alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rayreward.errors import ConfigError


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: the part of the plan that was looked at.
        found: what is wrong there.
        remedy: what to do.
        is_warning: the training can run like this, but hardly as it was meant.
    """

    check: str
    found: str
    remedy: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.check}: {self.found}; {self.remedy}"

    def as_warning(self) -> Finding:
        """The same, where it need not stop the training."""
        return replace(self, is_warning=True)


def refuse_errors(name: str, findings: Iterable[Finding]) -> list[Finding]:
    """The warnings among the findings of the training `name`.

    Raises:
        ConfigError: there are errors; all of them are told, one line each.
    """
    found = list(findings)
    errors = [finding for finding in found if not finding.is_warning]
    if errors:
        raise ConfigError("\n".join(f"{name}: {error}" for error in errors))
    return found
