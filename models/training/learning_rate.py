"""The learning-rate schedule as a function of the samples seen (sec. 5.5)."""

import math

from models.config import LoopConfig, OptimizerConfig


def learning_rate_at(samples_seen: int, loop: LoopConfig, optimizer: OptimizerConfig) -> float:
    """Rate of the step that starts after `samples_seen` samples: linear warm-up, then constant or cosine decay to 0."""
    arrived = samples_seen + loop.batch_size
    warmup = min(1.0, arrived / max(optimizer.warmup_samples, 1))
    if optimizer.schedule == "constant":
        return optimizer.learning_rate * warmup
    rest = max(loop.samples - optimizer.warmup_samples, 1)
    progress = min(max(samples_seen - optimizer.warmup_samples, 0) / rest, 1.0)
    return optimizer.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * progress))
