"""Tool calls: reading them in the formats that models write, and comparing them with those expected.

What arrives: an assistant's message, a label in BFCL's shape or as plain calls, the tools' schemas. What leaves:
`ParsedCalls` and `Comparison` values. Pure, and bounded for any text: nothing is evaluated, nothing recurses deeper
than it has checked, and a malformed response is a reason and no exception. A format is a module; `parse_calls` finds
which.
"""

from __future__ import annotations

from rayreward.toolcalls.call import Format, ToolCall
from rayreward.toolcalls.compare import Comparison, Strictness, compare_calls
from rayreward.toolcalls.detect import ParsedCalls, parse_calls
from rayreward.toolcalls.expected import ExpectedCall, read_expected
from rayreward.toolcalls.tools import read_tools

__all__ = [
    "Comparison",
    "ExpectedCall",
    "Format",
    "ParsedCalls",
    "Strictness",
    "ToolCall",
    "compare_calls",
    "parse_calls",
    "read_expected",
    "read_tools",
]
