"""JSON values that are checked before they are used.

They come from files that a user may have edited or a crash may have cut off.
:func:`parse` reads text, :func:`check` compares the result with a schema. Both return a
valid value or raise an :class:`InvalidFileError` of one line. The schemas are the
annotations of `tuning.records.RunRecord`, `tuning.plan.Plan` and others, which use
types such as `Text` and `Number`; pydantic checks them.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, Strict, TypeAdapter, ValidationError

MOST_LEVELS = 100
"""Most nested levels of lists and objects; a configuration of Keras has about ten."""

LONGEST_SHOWN = 60
"""Most characters of a received value that an error shows."""

LONGEST_PROBLEM = 300
"""Most characters of an error, which may quote a whole list."""

Text = Annotated[str, Strict()]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Integer = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Positive = Annotated[int, Field(strict=True, ge=1, lt=2**63)]
LearningRate = Annotated[float, Field(strict=True, ge=1e-100, le=1e100)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=1e15)]

_WORDS = {
    "string_type": "must be a string",
    "string_unicode": "must be a string",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "mapping_type": "must be an object",
    "dataclass_type": "must be an object",
    "typed_dict_type": "must be an object",
    "sequence_str": "must be a list",
    "is_instance_of": "must be a list",
    "unexpected_keyword_argument": "is an unknown field",
}

_LIMITS = {
    "greater_than": "greater than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}

_SUSPICIOUS = ("NaN", "Infinity", "\\u")
"""A text that the JSON standard or UTF-8 does not allow holds one of these; most
records hold none. The schema refuses numbers such as 1e999, which become infinite."""

MOST_DIGITS = 308
"""Most digits of an integer; with more it does not fit into float64."""

_TOO_DEEP = f"is nested more than {MOST_LEVELS} levels deep"

T = TypeVar("T")


class InvalidFileError(ValueError):
    """A file has invalid content; the message says what, where and what to do."""


class NotJSONError(InvalidFileError):
    """A text is not JSON at all, for example because a crash cut it off."""


def parse(text: str) -> Any:
    """Parse a text as JSON, strictly by the standard (RFC 8259).

    Raises:
        NotJSONError: it is not JSON.
        InvalidFileError: it holds NaN, Infinity or an integer too large for float64,
            an object with the same key twice, a character that is not Unicode, or
            more than `MOST_LEVELS` nested levels.
    """
    try:
        plain = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except json.JSONDecodeError as error:
        if not text.strip():
            raise NotJSONError("it is empty") from None
        where = f"column {error.colno}"
        if "\n" in text.rstrip():
            where = f"line {error.lineno}, {where}"
        raise NotJSONError(f"it is not JSON ({error.msg}, {where})") from None
    except RecursionError:
        raise InvalidFileError(f"it {_TOO_DEEP}") from None
    except InvalidFileError:
        raise
    found = _find_unusable(plain, 0) if _may_hold_unusable(text) else None
    if found is not None:
        place, problem = found
        place = place.removeprefix(".")[:LONGEST_SHOWN] or "it"
        raise InvalidFileError(f"{place} {problem}")
    return plain


def check(schema: TypeAdapter[T], plain: Any) -> T:
    """Convert a parsed value to the type of a schema.

    Raises:
        InvalidFileError: a field does not fit; the message names the first one.
    """
    try:
        return schema.validate_python(plain)
    except ValidationError as error:
        raise InvalidFileError(describe_problem(error.errors()[0])) from None


def check_present(schema: TypeAdapter[Any], plain: Mapping[str, Any]) -> None:
    """Check existing fields against a schema; any field may be missing.

    Raises:
        InvalidFileError: a field does not fit.
    """
    try:
        schema.validate_python(plain)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] != "missing" or len(problem["loc"]) > 1:
                raise InvalidFileError(describe_problem(problem)) from None


def one_of(values: Sequence[str]) -> AfterValidator:
    """A validator for schemas: the text must be one of ``values``."""

    def check_value(text: str) -> str:
        if text not in values:
            raise ValueError(
                f"must be one of {', '.join(values)}; received {show_value(text)}"
            )
        return text

    return AfterValidator(check_value)


def storable(value: Any) -> Any:
    """A copy of a value that JSON and UTF-8 can store.

    A number that is not finite becomes ``None``, a NumPy number a Python number, and a
    lone surrogate its escape code.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        # Lone surrogates come from file names that are not UTF-8.
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value


def describe_problem(problem: Mapping[str, Any]) -> str:
    """A pydantic error as a phrase: the field, what it must be, what it is."""
    kind, limits = problem["type"], problem.get("ctx", {})
    field = _name_field(problem["loc"])
    if kind == "missing":
        return f"{field} is missing"
    if kind == "value_error":
        text = str(limits["error"]).rstrip(".")
        if len(text) > LONGEST_PROBLEM:
            text = text[:LONGEST_PROBLEM] + " ..."
        if not problem["loc"]:
            return text
        return f"{field} {text}" if text.startswith("must") else f"{field}: {text}"
    if kind in _LIMITS:
        (limit,) = limits.values()
        wanted = f"must be {_LIMITS[kind]} {limit:g}"
    else:
        wanted = _WORDS.get(kind) or problem["msg"].replace("Input should", "must")
    return f"{field} {wanted}; received {show_value(problem['input'])}"


def show_value(value: Any) -> str:
    """The beginning of a value as JSON, in one line."""
    text = json.dumps(value, default=str)
    if len(text) > LONGEST_SHOWN:
        text = text[:LONGEST_SHOWN] + " ..."
    return text


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise InvalidFileError(f"an integer has {len(text)} digits, too many")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidFileError(
                    f"an object holds the key {show_value(key)} twice"
                )
            seen.add(key)
    return made


def _may_hold_unusable(text: str) -> bool:
    """Whether a parsed value must be searched, which takes longer than parsing."""
    is_deep = text.count("[") + text.count("{") > MOST_LEVELS
    is_plain = text.isascii() or _is_unicode(text)
    return is_deep or not is_plain or any(part in text for part in _SUSPICIOUS)


def _find_unusable(value: Any, level: int) -> tuple[str, str] | None:
    """The place of the first part that JSON or float64 lacks, and the problem."""
    if not isinstance(value, (dict, list)):
        problem = _why_unusable(value)
        return ("", problem) if problem else None
    if level == MOST_LEVELS:
        return "", _TOO_DEEP
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        found = _find_unusable(item, level + 1) or _find_unusable(key, level + 1)
        if found is not None:
            name = f"[{key}]" if isinstance(key, int) else f".{show_value(key)[1:-1]}"
            return name + found[0], found[1]
    return None


def _why_unusable(value: Any) -> str:
    if isinstance(value, str) and not _is_unicode(value):
        return f"holds a character that is not Unicode; received {show_value(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number; received {show_value(value)}"
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name_field(location: tuple[str | int, ...]) -> str:
    name = ""
    for part in location:
        if part == "[key]":
            name = f"a key of {name}"
        elif isinstance(part, int):
            name += f"[{part}]"
        else:
            name += ("." if name else "") + show_value(part)[1:-1]
    return name or "it"
