"""Opens the source of objects that the configuration names."""

from tasks.config import CatalogConfig
from tasks.ports import Tools
from tasks.sources.folder import FolderSource
from tasks.sources.objaverse import ObjaverseSource
from tasks.sources.objaverse_xl import ObjaverseXLSource
from tasks.sources.procedural.source import ProceduralSource
from tasks.sources.proobjaverse import ProObjaverseSource
from tasks.sources.source import Source
from tasks.sources.texverse import TexVerseSource


def open_source(config: CatalogConfig, seed: int, tools: Tools) -> Source:
    """Return the source that `config.source` names."""
    match config.source:
        case "folder":
            return FolderSource(config, seed, tools.work / "uids.json")
        case "objaverse":
            return ObjaverseSource(config, seed, tools)
        case "objaverse-xl":
            return ObjaverseXLSource(config, seed, tools)
        case "proobjaverse":
            return ProObjaverseSource(config, seed, tools)
        case "texverse":
            return TexVerseSource(config, seed, tools)
        case "procedural":
            return ProceduralSource(config, seed)
