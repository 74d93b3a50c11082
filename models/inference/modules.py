"""Modules of this project as text and syntax: what they define, and what they import. Knows not what for."""

import ast
import inspect
import re
import sys
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    module: str
    name: str | None
    """None: the module itself."""
    local: str
    """The name that it has in the importing module."""

    def __str__(self) -> str:
        renamed = "" if self.local == (self.name or self.module) else f" as {self.local}"
        return (
            f"import {self.module}{renamed}" if self.name is None else f"from {self.module} import {self.name}{renamed}"
        )


@dataclass
class Module:
    """A module of the project, parsed."""

    name: str
    lines: list[str]
    imports: dict[str, Import] = field(default_factory=dict)
    """By local name."""
    definitions: dict[str, tuple[int, int, ast.stmt]] = field(default_factory=dict)
    """First and last line, from 1, and syntax tree of the functions, classes and assignments."""

    @classmethod
    def parsed(cls, name: str) -> "Module":
        """Read and parse an imported module."""
        source = inspect.getsource(sys.modules[name])
        module, body = cls(name, source.splitlines()), ast.parse(source).body
        for statement, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                origin = statement.module if isinstance(statement, ast.ImportFrom) else None
                for alias in statement.names:
                    local = alias.asname or alias.name
                    found = Import(alias.name, None, local) if origin is None else Import(origin, alias.name, local)
                    module.imports[local.split(".")[0] if origin is None and not alias.asname else local] = found
            for defined in _names_defined(statement):
                last = following if following and _is_text(following) and not _is_block(statement) else statement
                module.definitions[defined] = (module._first_line(statement), last.end_lineno or 0, statement)
        return module

    @property
    def legend(self) -> list[str]:
        """The comment above the imports that explains the letters of shapes."""
        first = min((row for row, line in enumerate(self.lines) if line.startswith(("import ", "from "))), default=0)
        return [line for line in self.lines[:first] if line.startswith("#")]

    def text(self, name: str) -> str:
        """The source of a definition with its decorators, the comment above and the docstring below it."""
        first, last, _ = self.definitions[name]
        return "\n".join(re.sub(r"\s+# noqa:.*", "", line) for line in self.lines[first - 1 : last])

    def _first_line(self, statement: ast.stmt) -> int:
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
        while self.lines[first - 2].startswith("#"):
            first -= 1
        return first


def _names_defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)]


def names_used(node: ast.AST) -> list[str]:
    """Names that a definition reads, annotations included, in the order of the text."""
    found = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    return list(dict.fromkeys(part.id for part in sorted(found, key=lambda part: (part.lineno, part.col_offset))))


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a bare string, as the docstring below an assignment is."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_block(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.ClassDef)
