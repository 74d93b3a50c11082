"""Names, units and number formats of what the report shows."""

from dataclasses import dataclass

from tasks.evaluation.object_scores import Case

GROUPS = {"train": "training object", "held_out": "held-out object", "scan": "test scan"}
STAGES = {"stage1": "Stage 1", "stage2": "Stage 2", "stage3": "Stage 3"}
STAGE_NOTES = {
    "train-vae": "Mask-aware VAE",
    "train-stage1": "Stage 1: ε, one view given",
    "train-stage2": "Stage 2: v, one view given",
    "train-stage3": "Stage 3: v, one or several",
}


@dataclass(frozen=True)
class Column:
    """One metric in a table."""

    metric: str
    title: str
    digits: int
    best: int
    """1: higher is better, -1: lower is better, 0: neither."""
    signed: bool = False

    def show(self, value: float | None) -> str:
        """The number as text; nothing for none."""
        if value is None:
            return ""
        return f"{value:+.{self.digits}f}".replace("-", "\N{MINUS SIGN}") if self.signed else f"{value:.{self.digits}f}"


COLUMNS = (
    Column("objects", "objects", 0, 0),
    Column("psnr", "PSNR ↑", 2, 1),
    Column("psnr_over_white", "over white", 2, 0, signed=True),
    Column("psnr_over_copy", "over copy", 2, 0, signed=True),
    Column("ssim", "SSIM ↑", 3, 1),
    Column("lpips", "LPIPS ↓", 3, -1),
    Column("mask_iou", "mask IoU ↑", 3, 1),
    Column("meshes", "meshes", 0, 0),
    Column("chamfer", "Chamfer ↓", 4, -1),
    Column("f_score", "F-score ↑", 3, 1),
    Column("volume_iou", "volume IoU ↑", 3, 1),
)


def stage_title(stage: str) -> str:
    """Stage 3."""
    return STAGES.get(stage, stage)


def case_title(case: Case) -> str:
    """Stage 3, 4 views given."""
    return f"{stage_title(case.stage)}, {case.conditions} view{'s' if case.conditions > 1 else ''} given"


def group_title(group: str) -> str:
    """Training object."""
    return GROUPS.get(group, group.replace("_", " "))


def groups_title(group: str) -> str:
    """Training objects."""
    return f"{group_title(group)}s"
