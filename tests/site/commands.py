"""The page of all commands, as Typer knows them: a verb that is added appears by itself."""

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from flows import __main__ as _verbs  # noqa: F401 (adds the verbs)
from flows.app import EXAMPLES, PROGRAM, app


def commands_page() -> str:
    """Return the page as Markdown."""
    group: Any = typer.main.get_command(app)
    examples = EXAMPLES.partition("Examples:\n")[2].partition("\b")[0].rstrip()
    parts = [f"# Commands\n\n{group.help}\n\n```\n{examples}\n```\n"]
    for name, command in sorted(group.commands.items()):
        if not command.hidden:
            parts.append(f"## {name}\n\n{_text(command.help)}\n\n{''.join(_table(command))}")
    return "\n".join(parts)


def _table(command: Any) -> Iterator[str]:
    usage = " ".join(_metavar(row) for row in command.params if row.param_type_name == "argument")
    yield f"`{f'{PROGRAM} {command.name} {usage}'.strip()}`\n\n"
    rows = [row for row in command.params if not getattr(row, "hidden", False) and row.name != "help"]
    if rows:
        yield "| argument | meaning |\n| --- | --- |\n"
    for row in rows:
        names = ", ".join(f"`{name}`" for name in (*row.opts, *row.secondary_opts) if name.startswith("-"))
        value = "" if getattr(row, "is_flag", False) else f" `{_metavar(row)}`"
        is_told = row.default not in (None, (), False, ...) and not callable(row.default)
        default = f" Default: `{row.default}`." if is_told else ""
        yield f"| {names}{value} | {_text(getattr(row, 'help', '') or '').replace('|', chr(92) + '|')}{default} |\n"


def _metavar(row: Any) -> str:
    return str(row.metavar or row.name).upper()


def _text(text: str) -> str:
    """Return the text without marks of the terminal, and with names of pages as links."""
    plain = " ".join(text.replace("\b", "").split())
    return re.sub(r"\bdocs/([a-z-]+\.md)", r"[docs/\1](../\1)", plain)
