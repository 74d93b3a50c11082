"""What a diffusion training refuses to be, whoever asks."""

from typing import Any

import pytest

from models.config import DistilConfig, StageConfig
from tests.models.toy_models import NOISE

STAGE = StageConfig.model_validate(
    {
        "recipe": 1,
        "unet": None,
        "start_from": "ema",
        "noise": NOISE,
        "kept_targets": 8,
        "multi_condition_share": 0.5,
        "multi_conditions": (2, 4),
        "condition_drop": 0.0,
        "drawn_steps": 0,
        "optimizer": {
            "learning_rate": 1e-3,
            "betas": (0.9, 0.99),
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup_samples": 0,
            "max_grad_norm": 1.0,
        },
        "loop": {
            "batch_size": 1,
            "samples": 1,
            "ema_decay": 0.0,
            "log_every": 1,
            "validate_every": 1,
            "checkpoint_every": 1,
        },
    }
)


@pytest.mark.parametrize(
    ("changes", "views", "sentence"),
    [
        ({"kept_targets": 9}, {}, "kept_targets is 9; render makes only 8 targets"),
        ({"multi_conditions": (4, 2)}, {}, "multi_conditions is 4 to 2; it must rise"),
        ({"multi_conditions": (0, 2)}, {}, "multi_conditions is 0 to 2; it must rise"),
        ({}, {"max_condition_views": 3}, "multi_conditions is 2 to 4; it must rise, up to unet.max_condition_views, 3"),
        ({}, {"num_conditions": 3}, "multi_conditions goes to 4; render.conditions is 3"),
    ],
)
def test_stage_that_needs_more_views_than_there_are_is_refused(
    changes: dict[str, Any], views: dict[str, int], sentence: str
) -> None:
    given = {"num_targets": 8, "num_conditions": 4, "max_condition_views": 4}
    STAGE.check_views(**given)
    with pytest.raises(ValueError, match=sentence):
        STAGE.model_copy(update=changes).check_views(**(given | views))


def test_stage_that_never_has_several_conditions_needs_none() -> None:
    single = STAGE.model_copy(update={"multi_condition_share": 0.0})
    single.check_views(num_targets=8, num_conditions=1, max_condition_views=1)


def test_stage_other_than_the_first_builds_no_network() -> None:
    STAGE.check_network(is_first=False)
    with pytest.raises(ValueError, match="describe the network"):
        STAGE.check_network(is_first=True)


@pytest.mark.parametrize(
    ("changes", "noise", "message"),
    [
        ({"teacher_steps": 48}, {}, "teacher_steps is 48, which does not divide the 1000 timesteps of noise; write a"),
        ({"steps": 3}, {}, "steps is 3, which does not divide teacher_steps, 40; write a divisor"),
        ({}, {"prediction": "epsilon"}, "noise.prediction of stage 3 is epsilon; it must be v_prediction"),
    ],
)
def test_distillation_that_does_not_come_out_even_or_has_no_velocity_is_refused(
    changes: dict[str, Any], noise: dict[str, Any], message: str
) -> None:
    fields = {"recipe": 1, "steps": 4, "teacher_steps": 40, "drawn_objects": 0}
    config = DistilConfig.model_validate(fields | {"optimizer": STAGE.optimizer, "loop": STAGE.loop} | changes)
    with pytest.raises(ValueError, match=message):
        config.check(NOISE.model_copy(update=noise))
    config.model_copy(update={"steps": None}).check(NOISE.model_copy(update=noise))  # off
    config.model_copy(update={"steps": 4, "teacher_steps": 40}).check(NOISE)
