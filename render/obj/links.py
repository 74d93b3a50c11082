"""What an OBJ file refers to: its material libraries and, through them, the textures of the materials that it uses."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from render.errors import Unrenderable
from render.obj.lookup import Found, find_file, last_part
from render.obj.materials import Material, read_materials, textures_of
from render.obj.text import line_end, read_text

NO_MATERIAL = (b"none", b"(null)", b"null")
"""What programs write as the material of faces that have none."""
VERTEX_COLOUR = re.compile(rb"^[ \t]*v(?:[ \t]+[-+.\deE]+){6}", re.MULTILINE)


@dataclass(frozen=True)
class Links:
    """The materials of an OBJ file and the files that they lie in."""

    libraries: tuple[Found, ...]
    """Material libraries, those among them that cannot be read."""
    materials: dict[bytes, Material]
    """The used materials that are defined, under the names by which the OBJ file calls them."""
    textures: dict[tuple[bytes, str], Found | None]
    """The file of each texture, by the material's name and the texture's name in it; None where there is none."""
    missing_libraries: tuple[str, ...]
    """Libraries that are not found, or define nothing, and without which the object lacks a material; pointers of
    git-LFS among them."""
    implied: bytes | None
    """The only material of an object that has one and uses none: programs that write such files mean this one."""

    def files(self) -> list[Found]:
        """Return the files that the object needs besides itself."""
        return list(dict.fromkeys(found for found in (*self.libraries, *self.textures.values()) if found))


def read_links(path: Path, content: bytes) -> Links:
    """Return what the OBJ file at `path`, whose text is `content`, refers to."""
    libraries, missing = _libraries(path, content)
    defined: dict[bytes, Material] = {}
    homes: dict[bytes, Path] = {}
    for found, text in libraries.items():
        for name, material in read_materials(text).items():
            defined[name] = defined.get(name, ()) + material
            homes.setdefault(name, found.path.parent)
    used = list(dict.fromkeys(statements(content, b"usemtl")))
    implied = next(iter(defined)) if not used and len(defined) == 1 else None
    known = _by_used_name([implied] if implied is not None else used, defined)
    materials = _visible({name: defined[own] for name, own in known.items()})
    textures = {
        (name, texture): find_file(texture, [homes[known[name]], path.parent], absolute=True)
        for name, material in materials.items()
        for texture in textures_of(material)
    }
    if not defined and not missing and any(_loose(name) not in NO_MATERIAL for name in used):
        missing = [f"{found.path.name} (it defines no material)" for found in libraries]
    if missing and len(known) == len(used) and (used or VERTEX_COLOUR.search(content)):
        missing = []  # nothing is lost
    return Links(tuple(libraries), materials, textures, tuple(missing), implied)


def statements(content: bytes, keyword: bytes) -> Iterator[bytes]:
    """Yield what follows `keyword` on each line that begins with it; lines may go on after a backslash."""
    position = content.find(keyword)
    while position >= 0:
        end = position + len(keyword)
        before = content[max(position - 64, 0) : position].rpartition(b"\n")[2]
        if not before.strip() and content[end : end + 1].isspace():
            yield content[end : line_end(content, end)].strip()
        position = content.find(keyword, end)


def _libraries(path: Path, content: bytes) -> tuple[dict[Found, bytes], list[str]]:
    """Return the libraries with their texts, in the order in which they count, and the names of those that are missing.

    One that cannot be read is among both, with an empty text and, behind its name, why.
    """
    texts: dict[Found, bytes] = {}
    missing: list[str] = []
    names = [name for value in statements(content, b"mtllib") for name in _names(os.fsdecode(value), path.parent)]
    for name in dict.fromkeys([*names, f"{path.stem}.mtl", f"{path.name}.mtl"]):
        library = find_file(name, [path.parent], absolute=False)
        if library is None:
            missing += [last_part(name)] if name in names else []
            continue
        try:
            texts[library] = read_text(library.path).content
        except Unrenderable as error:
            texts[library] = b""
            missing.append(f"{library.path.name} ({str(error).removeprefix(f'{library.path.name} is ')})")
    return texts, missing


def _names(value: str, folder: Path) -> list[str]:
    """Return the libraries of a statement: one whose name may have blanks if there is such a file, else several."""
    several = re.findall(r'"[^"]+"|\S+', value)
    if len(several) < 2 or find_file(value, [folder], absolute=False):
        return [value]
    return several if any(find_file(name, [folder], absolute=False) for name in several) else [value]


def _by_used_name(used: Sequence[bytes], defined: dict[bytes, Material]) -> dict[bytes, bytes]:
    """Return, by the name by which an object uses a material, the name by which the library defines it.

    Where no name is equal, a comment behind it, quotes and the case of letters do not count.
    """
    loose = {_loose(name): name for name in reversed(defined)}
    known = {name: name if name in defined else loose.get(_loose(name)) for name in used}
    return {name: own for name, own in known.items() if own is not None}


def _loose(name: bytes) -> bytes:
    return re.sub(rb"\s#.*", b"", name).replace(b'"', b"").strip().lower()


def _visible(materials: dict[bytes, Material]) -> dict[bytes, Material]:
    """Leave `d` out where it is 0 in every material: programs that write so mean opaque, and nothing would be seen."""
    opacities = [s.value for material in materials.values() for s in material if s.keyword == b"d"]
    if len(opacities) < len(materials) or any(_number(value) != 0 for value in opacities):
        return materials
    return {name: tuple(s for s in material if s.keyword != b"d") for name, material in materials.items()}


def _number(value: bytes) -> float:
    try:
        return float(value.split()[0])
    except (ValueError, IndexError):
        return 1.0
