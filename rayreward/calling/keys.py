"""The key that a service wants: where it comes from, and that nobody else gets to see it.

What arrives: a key that was given, or the name of an environment variable. What leaves: the headers that carry it, and
texts without it. Whatever is wrong with a key is said without the key.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from rayreward.errors import AuthenticationError

_SENDABLE = re.compile(r"[\x21-\x7e]*")
"""What a header carries without being taken apart; no provider's keys have anything else."""


@dataclass(frozen=True, slots=True, repr=False)
class ServiceKey:
    r"""A service's key.

    Attributes:
        given: the key itself, None where the environment has it.
        variable: of the environment, read at every use; None for none.

    Example:
        >>> ServiceKey("sk-1\n").headers()
        {'Authorization': 'Bearer sk-1'}
        >>> ServiceKey("sk-1").hidden("Bearer sk-1 is refused")
        'Bearer \u2026 is refused'
    """

    given: str | None = None
    variable: str | None = None

    def read(self) -> str:
        """The key, "" where there is none. White space around it is what files and pasting leave."""
        if self.given is not None:
            return self.given.strip()
        return os.environ.get(self.variable, "").strip() if self.variable else ""

    def headers(self) -> dict[str, str]:
        """What carries it.

        Raises:
            AuthenticationError: it cannot be sent; the message does not hold it.
        """
        key = self.read()
        if not _SENDABLE.fullmatch(key):
            where = "the api_key that was given" if self.given is not None else f"the key in {self.variable}"
            raise AuthenticationError(
                f"{where} has a space, a line break or a letter that is no ASCII, and cannot be sent: copy it anew"
            )
        return {"Authorization": f"Bearer {key}"} if key else {}

    def hidden(self, text: str) -> str:
        """`text` without the key: servers repeat a wrong one in what they answer."""
        key = self.read()
        return text.replace(key, "\u2026") if key else text
