"""The verb `export`: a view set as other tools and trainings read it."""

from collections.abc import Callable

from infra.progress import TerminalProgress
from render.views import ViewKind
from tasks.commands.export.layouts import export_views
from tasks.commands.export.options import ExportOptions
from tasks.commands.export.source import Source


def export(options: ExportOptions, say: Callable[[str], None]) -> None:
    """Export what the options ask for, and say where it lies and what its reader must be told.

    Raises ValueError as `Source.open` and `export_views` do, and when there is no such kind of view.
    """
    source = Source.open(options.views, options.uid or (), _kind(options.kind), options.objects)
    settings = export_views(source, options.layout, options.out, TerminalProgress())
    count = len(source.uids)
    say(
        f"{options.out}: {count} object{'s' if count > 1 else ''} ({', '.join(source.uids[:3])}{', ...' * (count > 3)})"
    )
    say(f"  {settings}")


def _kind(name: str | None) -> ViewKind | None:
    kinds = {kind.name.lower(): kind for kind in ViewKind}
    if name is not None and name not in kinds:
        raise ValueError(f"kind {name!r} is none of {', '.join(kinds)}")
    return kinds[name] if name else None
