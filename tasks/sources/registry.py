"""Opens the source of objects that the configuration names."""

from tasks.config import CatalogConfig
from tasks.ports import Tools
from tasks.sources.folder import FolderSource
from tasks.sources.objaverse import ObjaverseSource
from tasks.sources.procedural.source import ProceduralSource
from tasks.sources.source import Source


def open_source(config: CatalogConfig, seed: int, tools: Tools) -> Source:
    """Return the source that `config.source` names."""
    match config.source:
        case "folder":
            return FolderSource(config, seed, tools.work / "uids.json")
        case "objaverse":
            return ObjaverseSource(config, seed, tools)
        case "procedural":
            return ProceduralSource(config, seed)
