"""Commands of Typer whose arguments and options are the fields of a dataclass."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TypeVar, get_type_hints

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
