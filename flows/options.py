"""Commands of Typer whose arguments and options are the fields of a dataclass, and mistakes in them as a sentence."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from typer import TyperException

OptionsT = TypeVar("OptionsT")


def with_options(kind: type[OptionsT]) -> Callable[[Callable[[OptionsT], int]], Callable[..., int]]:
    """Turn a function of one dataclass into a command whose arguments and options are the dataclass's fields."""

    def decorate(command: Callable[[OptionsT], int]) -> Callable[..., int]:
        @wraps(command)
        def parsed(**values: object) -> int:
            return command(kind(**values))

        parsed.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]  # Typer reads both
        parsed.__annotations__ = get_type_hints(kind, include_extras=True)
        return parsed

    return decorate


def sentence_of(mistake: TyperException, program: str) -> str:
    """Return what is wrong with the words, the value where it is out of bounds, and where to look.

    Where no verb was given that is the help.
    """
    text = mistake.format_message()
    if "\n" in text:
        return text
    faults: list[Any] = getattr(mistake.__cause__, "errors", list)()  # pydantic's, which knows the value
    given = f" (got {faults[0]['input']})" if faults else ""
    context = getattr(mistake, "ctx", None)
    return f"{text.rstrip('.')}{given}; see `{context.command_path if context else program} --help`"
