"""Whether a value is one of those accepted, as the Berkeley Function-Calling Leaderboard means it.

Texts are the same without spaces, case and ``,./-_*^``; ``'`` is ``"``. A whole number is a number, a boolean is none,
and ``"5"`` is not 5. Lists compare in order. Of an accepted dict each value is again a list of accepted values, and a
key whose list holds ``""`` may be missing. BFCL's own checker does this to one level of lists and dicts; here every
level follows the same rules.

After BFCL's ``ast_checker`` (https://github.com/ShishirPatil/gorilla, Apache-2.0); written anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.json_text import MalformedJsonError, load_json

_DROPPED = str.maketrans("'", '"', " ,./-_*^")

_PYTHON_CONSTANTS = {"True": "true", "False": "false", "None": "null"}

_FLOATS = frozenset({"float", "number", "double"})

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "str": str,
    "integer": int,
    "int": int,
    "float": (int, float),
    "number": (int, float),
    "double": (int, float),
    "boolean": bool,
    "bool": bool,
    "array": list,
    "list": list,
    "tuple": list,
    "dict": dict,
    "object": dict,
    "null": type(None),
}
"""JSON schema's names, and Python's as BFCL's tools have them. A type that is not here fits every value."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes two values the same.

    Attributes:
        exact_texts: texts must be equal, character by character.
        reads_across_types: ``"5"`` is 5, ``"true"`` is true, 5.0 is 5.
        nests_alternatives: each value of an accepted dict is a list of accepted values, as in BFCL's ground truth.
    """

    exact_texts: bool = False
    reads_across_types: bool = False
    nests_alternatives: bool = False


def is_accepted(value: Any, alternatives: Sequence[Any], schema: Mapping[str, Any], rules: Rules) -> bool:
    """Whether `value` is one of `alternatives`. ``""`` among them stands for "left out", and for a text that is empty.

    Example:
        >>> is_accepted("new york", ["New York, ", ""], {}, Rules()), is_accepted(True, [1], {}, Rules())
        (True, False)
    """
    others = [one for one in alternatives if one != ""]
    is_text = (
        _names(schema) & {"string", "str", "any"} if schema.get("type") else all(isinstance(o, str) for o in others)
    )
    candidates = alternatives if is_text else others
    return any(_is_same(value, one, schema, rules, rules.nests_alternatives) for one in candidates)


def standardise(text: str) -> str:
    """What is left of a text when BFCL compares it.

    Example:
        >>> standardise("St. John's, NL")
        'stjohn"snl'
    """
    return text.translate(_DROPPED).lower()


def fits_type(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is of a schema's type, its items too; a schema without a type fits all.

    Example:
        >>> fits_type(3, {"type": "float"}), fits_type(True, {"type": "integer"}), fits_type([1], {"type": "array"})
        (True, False, True)
    """
    names = _names(schema)
    if not names or any(name not in _TYPES for name in names):
        return True
    items = schema.get("items")
    return any(_is_instance(value, _TYPES[name]) for name in names) and not (
        isinstance(value, list) and isinstance(items, Mapping) and not all(fits_type(item, items) for item in value)
    )


def read_text(text: str, schema: Mapping[str, Any], alternatives: Sequence[Any]) -> Any:
    """The value of an argument that a format writes as bare text: itself for a text, else what JSON or Python read.

    Nothing tells null from the text "null": for a text it is null where that is accepted.

    Example:
        >>> read_text("5", {"type": "integer"}, []), read_text("5", {"type": "string"}, []), read_text("True", {}, [])
        (5, '5', True)
    """
    is_text = (
        _names(schema) & {"string", "str"}
        if schema.get("type")
        else any(isinstance(one, str) and one for one in alternatives)
    )
    bare = text.strip()
    if is_text:
        return None if bare in ("null", "None") and None in alternatives else text
    try:
        return load_json(_PYTHON_CONSTANTS.get(bare, bare))
    except MalformedJsonError:
        return text


def fits_alternative(value: Any, alternatives: Sequence[Any]) -> bool:
    """Whether a value is of the type of one that is accepted."""
    kinds = {type(one) for one in alternatives if one != ""} or {str}
    return type(value) in kinds or (type(value) is int and float in kinds)


def _names(schema: Mapping[str, Any]) -> set[str]:
    named = schema.get("type")
    names = named if isinstance(named, (list, tuple)) else [named]
    return {name.lower() for name in names if isinstance(name, str)}


def _is_instance(value: Any, wanted: type | tuple[type, ...]) -> bool:
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))


def _is_same(value: Any, wanted: Any, schema: Mapping[str, Any], rules: Rules, nests: bool) -> bool:
    """Recursive: a value's depth is bounded where it was read, a label's where it was."""
    if isinstance(value, str) and isinstance(wanted, str):
        return value == wanted if rules.exact_texts else standardise(value) == standardise(wanted)
    if isinstance(value, list) and isinstance(wanted, (list, tuple)):
        items = schema.get("items")
        of_items = items if isinstance(items, Mapping) else {}
        return len(value) == len(wanted) and all(
            _is_same(one, other, of_items, rules, nests) for one, other in zip(value, wanted, strict=True)
        )
    if isinstance(value, dict) and isinstance(wanted, Mapping):
        return _are_same_dicts(value, wanted, schema, rules, nests)
    if _is_number(value) and _is_number(wanted):
        is_of_type = type(value) is int or type(wanted) is float or bool(_names(schema) & _FLOATS)
        return bool(value == wanted) and (is_of_type or rules.reads_across_types)
    if isinstance(value, bool) or value is None:
        return value is wanted or (rules.reads_across_types and _reads_as(wanted, value))
    return rules.reads_across_types and (_reads_as(value, wanted) or _reads_as(wanted, value))


def _are_same_dicts(
    value: dict[str, Any], wanted: Mapping[str, Any], schema: Mapping[str, Any], rules: Rules, nests: bool
) -> bool:
    properties = schema.get("properties")
    schemas = properties if isinstance(properties, Mapping) else {}

    def of(key: str) -> Mapping[str, Any]:
        found = schemas.get(key)
        return found if isinstance(found, Mapping) else {}

    if nests and all(isinstance(one, (list, tuple)) for one in wanted.values()):
        is_whole = all(key in value or "" in accepted for key, accepted in wanted.items())
        return is_whole and all(
            key in wanted and is_accepted(one, wanted[key], of(key), rules) for key, one in value.items()
        )
    return value.keys() == wanted.keys() and all(
        _is_same(one, wanted[key], of(key), rules, nests) for key, one in value.items()
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _reads_as(text: Any, value: Any) -> bool:
    """Whether a text is how JSON writes a number, a boolean or null."""
    if not isinstance(text, str) or len(text) > 64 or isinstance(value, (str, list, dict)):
        return False
    try:
        read = load_json(text.strip().lower())
    except MalformedJsonError:
        return False
    return bool(read == value) and (type(read) is type(value) or (_is_number(read) and _is_number(value)))
