"""Titles and number formats: how the report calls stages, cases, groups of objects and metrics."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.artifacts.cases import DISTILLED, Case, Protocol

GROUPS = {"train": "training object", "held_out": "held-out object", "scan": "test scan", "gso": "GSO scan"}
PROTOCOLS: Mapping[Protocol, str] = {
    "sparse": "Sparse views: 32 targets",
    "ring": "Ring: SyncDreamer's cameras",
    "gso": "GSO: SyncDreamer's files as given",
}
METRICS = ("psnr", "ssim", "lpips", "mask_iou", "chamfer", "volume_iou", "f_score")
"""Metrics that curves for DVC and results for model hubs have."""


@dataclass(frozen=True)
class Column:
    """A metric as a column of a table."""

    metric: str
    title: str
    digits: int
    best: int = 0
    """1: higher is better, -1: lower is better, 0: neither."""
    signed: bool = False

    def show(self, value: float | None) -> str:
        """Format a value of the metric; nothing is shown for None."""
        if value is None:
            return ""
        return f"{value:{'+' if self.signed else ''}.{self.digits}f}".replace("-", "\N{MINUS SIGN}")


COLUMNS = (
    Column("objects", "objects", 0),
    Column("psnr", "PSNR (dB) ↑", 2, best=1),
    Column("psnr_other", "PSNR, not given ↑", 2, best=1),
    Column("psnr_over_white", "over white", 2, signed=True),
    Column("psnr_over_copy", "over copy", 2, signed=True),
    Column("ssim", "SSIM ↑", 3, best=1),
    Column("ssim_inner", "SSIM, inner ↑", 3, best=1),
    Column("lpips", "LPIPS ↓", 3, best=-1),
    Column("st_lpips", "ST-LPIPS ↓", 3, best=-1),
    Column("mask_iou", "mask IoU ↑", 3, best=1),
    Column("azimuth_hit_rate", "azimuth hits ↑", 2, best=1),
    Column("azimuth_margin", "azimuth margin (dB)", 2, signed=True),
    Column("meshes", "meshes", 0),
    Column("chamfer", "Chamfer ↓", 4, best=-1),
    Column("chamfer_area", "Chamfer by area ↓", 4, best=-1),
    Column("f_score", "F-score ↑", 3, best=1),
    Column("normal_consistency", "normals ↑", 3, best=1),
    Column("volume_iou", "volume IoU ↑", 3, best=1),
    Column("consistency_chamfer", "consistency, Chamfer ↓", 4, best=-1),
    Column("consistency_psnr", "consistency, PSNR ↑", 2, best=1),
)
COLUMN_OF = {column.metric: column for column in COLUMNS}
"""By metric."""


def method_title(method: str) -> str:
    """Name a method, e.g. "Stage 3" for the training stage stage3; baselines and peers go by their own names."""
    return f"Stage {method[-1]}" if is_stage(method) else method.capitalize() if is_model(method) else method


def is_stage(method: str) -> bool:
    """Whether a method is a training stage of this project, and neither a baseline nor a peer."""
    return bool(re.fullmatch(r"stage\d", method))


def is_model(method: str) -> bool:
    """Whether a method is a model of this project: a training stage, or what was distilled from the last one."""
    return is_stage(method) or method == DISTILLED


def case_title(case: Case) -> str:
    """Name a case, e.g. "Stage 3, 4 views given"."""
    return f"{method_title(case.method)}, {counted(case.conditions, 'view')} given"


def protocol_title(protocol: Protocol) -> str:
    """Name the views that a protocol scores, e.g. "Sparse views: 32 targets"."""
    return PROTOCOLS[protocol]


def group_title(group: str) -> str:
    """Name one object of a group, e.g. "training object"."""
    return GROUPS.get(group, group.replace("_", " "))


def groups_title(group: str) -> str:
    """Name all objects of a group, e.g. "training objects"."""
    return f"{group_title(group)}s"


def counted(number: int, noun: str) -> str:
    """Name a number of things, e.g. "1 object" or "1,639 objects"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
