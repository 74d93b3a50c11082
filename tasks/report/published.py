"""Numbers that papers state, to stand beside measured ones; each with its source and how its protocol differs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

NAMES = ("chamfer", "volume_iou", "psnr", "ssim_inner", "lpips")
"""SSIM as torchmetrics computed it when they were published (docs/evaluation.md)."""


class Source(NamedTuple):
    """Where rows are published, and what of their protocol differs."""

    name: str
    differs: str = ""
    """As a sentence."""


@dataclass(frozen=True)
class Published:
    """One published row of Table 1 or 2."""

    table: Literal[1, 2]
    method: str
    conditions: int
    metrics: Mapping[str, float]
    source: Source

    @property
    def note(self) -> str:
        """The source and what differs, as tables show them."""
        return f"{self.source.name}. {self.source.differs}".strip()


def published(source: Source, table: Literal[1, 2], method: str, conditions: int, *values: float | None) -> Published:
    """Return a row with a value for each of NAMES; None where the source states none."""
    metrics = {name: value for name, value in zip(NAMES, values, strict=True) if value is not None}
    return Published(table, method, conditions, metrics, source)


TABLE_1, TABLE_2 = Source("arXiv 2402.12712, table 1"), Source("arXiv 2402.12712, table 2")
ALIGNED = TABLE_1._replace(differs="Its mesh was aligned to the true one by ICP first.")
POSED = TABLE_2._replace(differs="Given the true poses of its views.")
PUBLISHED = (
    published(TABLE_1, 1, "RealFusion", 1, 0.0819, 0.2741, 15.26, 0.722, 0.283),
    published(TABLE_1, 1, "Magic123", 1, 0.0516, 0.4528, None, None, None),
    published(TABLE_1, 1, "One-2-3-45", 1, 0.0629, 0.4086, None, None, None),
    published(TABLE_1, 1, "Point-E", 1, 0.0426, 0.2875, None, None, None),
    published(TABLE_1, 1, "Shap-E", 1, 0.0436, 0.3584, None, None, None),
    published(TABLE_1, 1, "Zero123", 1, 0.0339, 0.5035, 18.93, 0.779, 0.166),
    published(TABLE_1, 1, "SyncDreamer", 1, 0.0261, 0.5421, 20.05, 0.798, 0.146),
    published(ALIGNED, 1, "Wonder3D", 1, 0.0329, 0.5768, None, None, None),
    published(ALIGNED, 1, "Open-LRM", 1, 0.0285, 0.5945, None, None, None),
    published(TABLE_1, 1, "MVDiffusion++", 1, 0.0165, 0.6973, 21.45, 0.844, 0.129),
    published(TABLE_2, 2, "SyncDreamer", 1, 0.0318, 0.5610, 19.46, 0.847, 0.188),
    published(POSED, 2, "NeuS", 1, 0.0536, 0.4400, None, None, None),
    published(POSED, 2, "NeuS", 2, 0.0307, 0.5884, None, None, None),
    published(POSED, 2, "NeuS", 4, 0.0158, 0.7323, None, None, None),
    published(POSED, 2, "NeuS", 10, 0.0096, 0.8092, None, None, None),
    published(TABLE_2, 2, "LEAP", 1, None, None, 14.66, 0.47, 0.43),
    published(TABLE_2, 2, "LEAP", 2, None, None, 16.22, 0.59, 0.36),
    published(TABLE_2, 2, "LEAP", 4, None, None, 16.54, 0.61, 0.35),
    published(TABLE_2, 2, "LEAP", 10, None, None, 16.84, 0.64, 0.34),
    published(TABLE_2, 2, "MVDiffusion++", 1, 0.0208, 0.6689, 20.25, 0.862, 0.157),
    published(TABLE_2, 2, "MVDiffusion++", 2, 0.0158, 0.7260, 21.73, 0.872, 0.137),
    published(TABLE_2, 2, "MVDiffusion++", 4, 0.0122, 0.7737, 23.44, 0.886, 0.117),
    published(TABLE_2, 2, "MVDiffusion++", 10, 0.0101, 0.8046, 25.03, 0.899, 0.102),
)
