"""The card that lies in every saved model's folder, as model hubs show it."""

import re
from collections.abc import Mapping
from typing import Any

from models.config import StageConfig

CARD = "README.md"
FRONT = """---
license: mit
library_name: diffusers
pipeline_tag: image-to-3d
tags: [multi-view, novel-view-synthesis, mvdiffusion++, diffusion]
{base}---
"""
USE = """## Use

With torch, diffusers and transformers; the folder brings its own code along. The name of a repository on a hub does in
place of its path:

```python
import torch
from diffusers import DiffusionPipeline

folder = "path/to/this/folder"
pipeline = DiffusionPipeline.from_pretrained(folder, custom_pipeline=folder, trust_remote_code=True)
views = pipeline(
    ["photo.png"],  # 1 to {most} images of one object, no poses; RGBA, or before a plain background
    object_share=0.5,
    generator=torch.Generator().manual_seed(0),
)
views.images[0].save("view.png")  # RGBA; views.cameras[0] says where it is taken from
```

From a checkout of the project: `python -m flows sample photo.png --model path/to/this/folder --out drawn`.
"""
LIMITS = """## Limits

- Views are drawn at {side} x {side} pixels, {targets} of them, from fixed directions; what no image shows is invented.
- It has seen {num_objects} objects, alone and without background. People, scenes and text are outside of what it knows.
- Reproduction from the paper (arXiv:2402.12712); the authors' own weights were never published. How close it comes is
  measured by the evaluation stage of the project, not claimed here.
- The training objects carry licences of their own, listed in the project's `data/objects/objects.parquet`.
"""


def model_card(stage: str, config: StageConfig, unet: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Write a model card: Markdown with the front matter of model hubs.

    unet: configuration of the network. facts: of the training: num_objects, num_parameters, side in pixels and `base`,
    the hub id of the weights it began with, if any; of a distilled model also `steps`.
    """
    geometry, loop = unet["geometry"], config.loop
    number = re.sub(r"\D", "", stage)
    low, high = config.multi_conditions
    conditions = f"one, or in {config.multi_condition_share:.0%} of the samples {low} to {high}"
    rows = {
        "stage": f"{number} of 3" if number else f"{stage} from stage 3, draws in {facts['steps']} steps of DDIM",
        "parameters of the network": f"{facts['num_parameters']:,}",
        "began with": facts["base"] or "random weights",
        "objects": f"{facts['num_objects']:,}",
        "samples seen": f"{loop.samples:,} in batches of {loop.batch_size:,}",
        "condition images": conditions if config.multi_condition_share else "one",
        "targets per sample": f"{config.kept_targets} of {unet['num_targets']}",
        "noise": f"{config.noise.beta_schedule} betas {config.noise.beta_start} to {config.noise.beta_end}",
        "loss": f"mean squared error of {config.noise.prediction}" + ("" if number else ", consistency"),
        "optimizer": f"AdamW, {config.optimizer.learning_rate:g}, {config.optimizer.schedule}",
        "weights": f"exponential average, decay {loop.ema_decay}" if loop.ema_decay else "the last",
    }
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items())])
    elevations = ", ".join(f"{row:g}" for row in geometry["elevations_deg"])
    return "\n".join(
        [
            FRONT.format(base=f"base_model: {facts['base']}\n" if facts["base"] else ""),
            f"# MVDiffusion++, {stage}\n",
            "From one or several images of an object, without poses, to RGBA views of it from "
            f"{geometry['azimuths']} azimuths at elevations of {elevations} degrees, field of view "
            f"{geometry['fov_deg']:g} degrees, distance {geometry['distance']:g} times the object's longest side. "
            "Azimuths count from the first image.\n",
            USE.format(most=unet["max_condition_views"]),
            f"## Training\n\n{table}\n",
            LIMITS.format(side=facts["side"], targets=unet["num_targets"], num_objects=f"{facts['num_objects']:,}"),
        ]
    )
