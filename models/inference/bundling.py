"""Bundles a class and all that it needs of this project into the text of one Python file.

diffusers copies the file of a pipeline and that of a component out of a saved folder and imports each alone, so the
code of a saved model must be one file each. What is reachable by name from the class is taken as it is written, in the
order of the modules' imports, and nothing else. Knows nothing of pipelines.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from models.inference.modules import Import, Module, names_used

HEADER = '''"""{name} and all that it needs, which `save_pretrained` takes from MVDiffusion++ (MIT licence).

Needs torch, diffusers, transformers, Pillow and NumPy{optional}.
"""
'''
CODE = '''CODE = Path(__file__).read_text(encoding="utf-8")
"""This file, which saving writes again."""
'''
OPTIONAL = ("scipy",)
"""Packages that few inputs need; their absence is an error where they are used, not where the file is loaded."""
ABSENT = '''
    def {name}(*_: object, **__: object) -> Any:
        """Stands in for a function of a package that is not installed."""
        raise ImportError("this image needs {package}: pip install {package}, or cut the object out of its background")
'''


def bundle(kind: type) -> str:
    """Return the text of a file that defines a class and everything of its package that it uses.

    Args:
        kind: A class of this project.

    Raises:
        ValueError: Two modules give different things the same name, or a module is imported whole or under another
            name; the text says which.
    """
    reach = Reach(kind.__module__.split(".")[0])
    reach.visit(kind.__module__, kind.__name__)
    parts: list[str] = []
    owners: dict[str, str] = {}
    for module in _by_imports(reach.modules):
        names = sorted(reach.names[module.name], key=lambda name: module.definitions[name][0])
        for name in names:
            if owners.setdefault(name, module.name) != module.name:
                raise ValueError(f"{name} is defined in {owners[name]} and in {module.name}; rename one of them")
        texts = dict.fromkeys(module.text(name) for name in names)
        title = "\n".join([f"# {module.name.replace('.', '/')}.py", *module.legend])
        parts.append("\n\n\n".join([title, *texts]) + "\n")
    imports = reach.outside | {Import("pathlib", "Path", "Path"), Import("typing", "Any", "Any")}
    used = sorted({one.module.split(".")[0] for one in imports} & set(OPTIONAL))
    header = HEADER.format(name=kind.__name__, optional=f"; {', '.join(used)} for some images" if used else "")
    return "\n\n".join(["\n".join([header, _import_block(imports), "", CODE]), "\n\n".join(parts)])


@dataclass
class Reach:
    """What is reachable by name from definitions of one package."""

    package: str
    modules: dict[str, Module] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    """The definitions reached, by module."""
    outside: set[Import] = field(default_factory=set)
    """The imports of other packages that they use."""

    def visit(self, module_name: str, name: str) -> None:
        """Add a definition of a module and all that it uses."""
        if module_name not in self.modules:
            self.modules[module_name], self.names[module_name] = Module.parsed(module_name), set()
        module, names = self.modules[module_name], self.names[module_name]
        if name in names:
            return
        names.add(name)
        for used in names_used(module.definitions[name][2]):
            if used in module.definitions:
                self.visit(module_name, used)
            elif used in module.imports:
                self._follow(module_name, module.imports[used])

    def _follow(self, module_name: str, found: Import) -> None:
        if found.module.split(".")[0] != self.package:
            self.outside.add(found)
        elif found.name is None or found.name != found.local or f"{found.module}.{found.name}" in sys.modules:
            raise ValueError(
                f"{module_name} uses {found.local}, a module or a renamed import; import names as they are"
            )
        else:
            self.visit(found.module, found.name)


def _by_imports(modules: dict[str, Module]) -> list[Module]:
    """Sort modules so that each comes after those that it imports."""
    done: dict[str, Module] = {}

    def visit(name: str) -> None:
        for found in modules[name].imports.values():
            if found.module in modules and found.module not in done:
                visit(found.module)
        done.setdefault(name, modules[name])

    for name in modules:
        visit(name)
    return list(done.values())


def _import_block(imports: set[Import]) -> str:
    """Import statements: of the standard library, of packages, and of packages that may be absent."""
    required = {one for one in imports if one.module.split(".")[0] not in OPTIONAL}
    standard = {one for one in required if one.module.split(".")[0] in sys.stdlib_module_names}
    blocks = ["\n".join(_statements(part)) for part in (standard, required - standard) if part]
    for package in sorted({one.module.split(".")[0] for one in imports - required}):
        theirs = {one for one in imports if one.module.split(".")[0] == package}
        lines = [f"    {line}" for line in _statements(theirs)]
        absent = [ABSENT.format(name=one.local, package=package) for one in sorted(theirs, key=str)]
        blocks.append("\n".join(["try:", *lines, "except ImportError:"]) + "\n" + "".join(absent))
    return "\n\n".join(blocks)


def _statements(imports: set[Import]) -> Iterator[str]:
    """Import statements in alphabetical order, names of one module together where they are few."""
    yield from sorted(str(one) for one in imports if one.name is None)
    for module in sorted({one.module for one in imports if one.name is not None}, key=str.lower):
        names = sorted(str(one).split(" import ")[1] for one in imports if one.module == module and one.name)
        line = f"from {module} import {', '.join(names)}"
        yield line if len(line) <= 110 else f"from {module} import (\n    " + ",\n    ".join(names) + ",\n)"
