"""What users of diffusers expect of any pipeline: forms of images and views, several samples, callbacks, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
)
from PIL import Image
from torch import Tensor

from models.inference.pipeline import MVDiffusionPipeline
from models.network.noise import build_scheduler
from tests.models.toy_models import NOISE, largest_difference, picture, toy_pipeline

SHORT: dict[str, Any] = {"num_inference_steps": 2, "target_ids": [5, 2]}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pipeline() -> MVDiffusionPipeline:
    return toy_pipeline(build_scheduler(NOISE, "ddpm"))


def latents_of(pipeline: MVDiffusionPipeline, images: Any, **settings: Any) -> Tensor:
    given: dict[str, Any] = {"generator": rng(), "output_type": "latent"} | SHORT | settings
    return pipeline(images, **given).latents


def as_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize(
    "form",
    [
        lambda image, _: image,
        lambda image, _: np.array(image),
        lambda image, _: np.array(image) / 255,
        lambda image, _: np.array(image).astype(np.float32) / 255,
        lambda image, _: as_tensor(image),
        lambda image, _: as_tensor(image).float() / 255,
        lambda image, _: as_tensor(image)[None],
        lambda image, _: np.array(image)[None],
        lambda image, _: [as_tensor(image)],
        lambda _, path: path,
        lambda _, path: str(path),
        lambda _, path: [path],
        lambda _, path: (path,),
    ],
)
def test_image_in_any_form_is_the_same_image(form: Any, pipeline: MVDiffusionPipeline, tmp_path: Path) -> None:
    path = tmp_path / "view.png"
    picture(0).save(path)
    assert torch.equal(latents_of(pipeline, form(picture(0), path)), latents_of(pipeline, [picture(0)]))


def test_file_is_read_as_photos_are(pipeline: MVDiffusionPipeline, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn right to see it upright
    picture(0).save(tmp_path / "turned.png", exif=exif)
    upright = picture(0).transpose(Image.Transpose.ROTATE_270)
    assert torch.equal(latents_of(pipeline, tmp_path / "turned.png"), latents_of(pipeline, upright))


def test_colours_without_alpha_and_masks_in_any_form_are_the_same(pipeline: MVDiffusionPipeline) -> None:
    rgb, grey = picture(0).convert("RGB"), np.full((16, 16), 255, np.uint8)
    grey[:3] = 0
    expected = latents_of(pipeline, [rgb], masks=[Image.fromarray(grey)])
    assert torch.equal(latents_of(pipeline, as_tensor(rgb).float() / 255, masks=grey > 0), expected)
    assert torch.equal(latents_of(pipeline, np.array(rgb), masks=torch.from_numpy(grey)[None]), expected)
    assert torch.equal(latents_of(pipeline, [np.array(rgb)], masks=[grey[..., None] / 255]), expected)


def test_arrays_with_more_axes_are_several_images_and_several_objects(pipeline: MVDiffusionPipeline) -> None:
    views = [picture(0), picture(1)]
    together = torch.stack([as_tensor(view) for view in views])
    assert torch.equal(latents_of(pipeline, together), latents_of(pipeline, views))
    assert torch.equal(latents_of(pipeline, np.stack([np.array(view) for view in views])), latents_of(pipeline, views))
    several = {"generator": [rng(1), rng(2)]}
    expected = latents_of(pipeline, [[views[0]], [views[1]]], **several)
    assert torch.equal(latents_of(pipeline, together[:, None], generator=[rng(1), rng(2)]), expected)
    assert torch.equal(latents_of(pipeline, [one[None] for one in together], generator=[rng(1), rng(2)]), expected)


def test_views_come_in_the_form_asked_for(pipeline: MVDiffusionPipeline) -> None:
    pil, array, tensor = (
        pipeline(picture(0), generator=rng(), output_type=form, **SHORT).images for form in ("pil", "np", "pt")
    )
    assert [(view.mode, view.size) for view in pil] == [("RGBA", (16, 16))] * 2
    assert (array.shape, array.dtype) == ((2, 16, 16, 4), np.float32)
    assert (tuple(tensor.shape), tensor.dtype) == ((2, 4, 16, 16), torch.float32)
    assert 0 <= array.min() < array.max() <= 1
    np.testing.assert_array_equal(np.rint(array * 255), np.stack([np.array(view) for view in pil]))
    np.testing.assert_array_equal(tensor.permute(0, 2, 3, 1), array)


def test_return_dict_false_gives_a_tuple_in_the_order_of_the_fields(pipeline: MVDiffusionPipeline) -> None:
    whole = pipeline(picture(0), generator=rng(), **SHORT)
    images, targets, cameras, latents = pipeline(picture(0), generator=rng(), return_dict=False, **SHORT)
    assert images == whole.images
    assert (targets, cameras) == ([5, 2], whole.cameras)
    assert torch.equal(latents, whole.latents)


def test_several_samples_are_those_of_their_generators(pipeline: MVDiffusionPipeline) -> None:
    objects = [[picture(0), picture(1)], [picture(2)], [picture(3), picture(4)]]
    made = pipeline(objects, num_samples_per_object=2, generator=[rng(seed) for seed in range(6)], **SHORT)
    assert [len(views) for views in made.images] == [2] * 6
    for index in range(6):
        alone = latents_of(pipeline, objects[index // 2], generator=rng(index))
        assert largest_difference(alone[0], made.latents[index]) < 1e-4, index


def test_several_samples_of_one_object_may_share_a_generator(pipeline: MVDiffusionPipeline) -> None:
    made = pipeline(picture(0), num_samples_per_object=3, generator=rng(), **SHORT)
    again = pipeline(picture(0), num_samples_per_object=3, generator=[rng()], **SHORT)
    assert [len(views) for views in made.images] == [2] * 3
    assert torch.equal(made.latents, again.latents)
    assert largest_difference(made.latents[0], made.latents[1]) > 1e-2


def test_latents_given_are_what_the_targets_start_from(pipeline: MVDiffusionPipeline) -> None:
    started = torch.randn(1, 2, 4, 8, 8, generator=rng(7))
    first, again = (latents_of(pipeline, picture(0), latents=started) for _ in range(2))
    assert torch.equal(first, again)
    assert largest_difference(first, latents_of(pipeline, picture(0), latents=started + 0.5)) > 1e-3
    drawn = torch.randn(1, 2, 4, 8, 8, generator=rng())  # what the pipeline draws first
    ddim = toy_pipeline(build_scheduler(NOISE, "ddim"))
    rest = rng()
    torch.randn(1, 2, 4, 8, 8, generator=rest)
    assert torch.equal(latents_of(ddim, picture(0), latents=drawn, generator=rest), latents_of(ddim, picture(0)))


def test_callback_on_step_end_sees_every_step_and_can_change_the_latents(pipeline: MVDiffusionPipeline) -> None:
    seen: list[tuple[int, int, list[str]]] = []

    def halve(pipe: Any, step: int, timestep: Tensor, given: dict[str, Tensor]) -> dict[str, Tensor]:
        assert pipe is pipeline
        seen.append((step, int(timestep), sorted(given)))
        return {"latents": given["latents"] / 2} if step == 1 else given

    halved = latents_of(pipeline, picture(0), callback_on_step_end=halve)
    assert seen == [(0, 999, ["latents"]), (1, 499, ["latents"])]
    assert torch.equal(halved, latents_of(pipeline, picture(0)) / 2)
    assert torch.equal(
        latents_of(pipeline, picture(0), callback_on_step_end=lambda *_: None), latents_of(pipeline, picture(0))
    )


def test_callback_changes_what_the_next_step_begins_with(pipeline: MVDiffusionPipeline) -> None:
    def reset(_pipe: Any, _step: int, _timestep: Tensor, given: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"latents": torch.zeros_like(given["latents"])}

    zeroed, steps = [], []
    latents_of(
        pipeline,
        picture(0),
        num_inference_steps=3,
        callback_on_step_end=lambda pipe, step, *rest: reset(pipe, step, *rest) if step == 0 else zeroed.append(step),
        callback=lambda step, latents: steps.append((step, latents.clone())),
    )
    assert zeroed == [1, 2]
    plain: list[tuple[int, Tensor]] = []
    latents_of(pipeline, picture(0), num_inference_steps=3, callback=lambda step, at: plain.append((step, at.clone())))
    assert torch.equal(steps[0][1], plain[0][1])
    assert largest_difference(steps[1][1], plain[1][1]) > 1e-3


def test_callback_that_interrupts_leaves_the_latents_of_its_step(pipeline: MVDiffusionPipeline) -> None:
    steps: list[Tensor] = []

    def stop(pipe: Any, step: int, _timestep: Tensor, given: dict[str, Tensor]) -> None:
        steps.append(given["latents"].clone())
        pipe._interrupt = step == 1

    stopped = pipeline(picture(0), generator=rng(), callback_on_step_end=stop, num_inference_steps=5)
    assert len(steps) == 2
    assert torch.equal(stopped.latents, steps[-1])
    assert len(stopped.images) == 8
    states = [pipeline.interrupt]
    latents_of(pipeline, picture(0))
    assert [*states, pipeline.interrupt] == [True, False]
    assert (pipeline.num_timesteps, pipeline.guidance_scale) == (2, 1)


@pytest.mark.parametrize(
    "kind",
    [
        EulerDiscreteScheduler,
        EulerAncestralDiscreteScheduler,
        HeunDiscreteScheduler,
        DPMSolverSinglestepScheduler,
        LCMScheduler,
    ],
)
def test_schedulers_of_other_classes_sample_and_are_saved(kind: Any, tmp_path: Path) -> None:
    ddpm = build_scheduler(NOISE, "ddpm")
    pipeline = toy_pipeline(kind.from_config(ddpm.config))
    settings: dict[str, Any] = {"num_inference_steps": 4}
    drawn = latents_of(pipeline, picture(0), **settings)
    assert drawn.isfinite().all()
    pipeline.save_pretrained(tmp_path)
    loaded = MVDiffusionPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert type(loaded.scheduler) is kind
    assert torch.equal(latents_of(loaded, picture(0), **settings), drawn)


def with_dropout(share: float | None) -> MVDiffusionPipeline:
    pipeline = toy_pipeline(build_scheduler(NOISE, "ddpm"))
    pipeline.unet.register_to_config(condition_drop=share)
    return pipeline


def test_guidance_is_for_models_that_were_trained_with_condition_dropout(caplog: pytest.LogCaptureFixture) -> None:
    guided = latents_of(with_dropout(0.1), picture(0), guidance_scale=3.0)
    assert largest_difference(guided, latents_of(with_dropout(0.1), picture(0))) > 1e-3
    with pytest.raises(ValueError, match=r"guidance_scale is 3, but the model was trained without condition dropout"):
        latents_of(with_dropout(0.0), picture(0), guidance_scale=3.0)
    latents_of(with_dropout(0.0), picture(0), guidance_scale=1)
    assert caplog.text == ""
    assert torch.equal(latents_of(with_dropout(None), picture(0), guidance_scale=3.0), guided)
    assert "does not say whether it was trained with condition dropout" in caplog.text


@pytest.mark.parametrize("scale", [0, 0.5, -1, float("nan"), float("inf"), "3", None])
def test_guidance_that_is_none_is_refused(scale: Any) -> None:
    with pytest.raises(ValueError, match=r"guidance_scale is .*; give a number of at least 1"):
        latents_of(with_dropout(0.1), picture(0), guidance_scale=scale)


WRONG = [
    ({"num_inference_steps": 0}, "num_inference_steps is 0; give a whole number from 1 to 1000"),
    ({"num_inference_steps": -3}, "num_inference_steps is -3; give a whole number from 1 to 1000"),
    ({"num_inference_steps": 1001}, "num_inference_steps is 1001; give a whole number from 1 to 1000"),
    ({"num_inference_steps": 2.5}, "num_inference_steps is 2.5; give a whole number"),
    ({"num_inference_steps": True}, "num_inference_steps is True; give a whole number"),
    ({"num_samples_per_object": 0}, "num_samples_per_object is 0; give a whole number of at least 1"),
    ({"output_type": "numpy"}, "output_type is 'numpy'; give one of pil, np, pt, latent"),
    ({"output_type": None}, "output_type is None; give one of pil, np, pt, latent"),
    ({"generator": 7}, r"generator is 7; give torch.Generator\(\).manual_seed"),
    ({"generator": [rng(), rng()]}, "2 generators for 1 objects; give one per object and sample"),
    ({"generator": []}, "0 generators for 1 objects"),
    ({"generator": [rng(), rng()], "num_samples_per_object": 3}, "2 generators for 1 objects with 3 samples each"),
    ({"latents": torch.zeros(1, 2, 4, 8, 9)}, r"latents is \(1, 2, 4, 8, 9\); give a float tensor \(1, 2, 4, 8, 8\)"),
    ({"latents": torch.zeros(1, 2, 4, 8, 8).long()}, "give a float tensor"),
    ({"latents": "noise"}, "latents is str; give a float tensor"),
    ({"callback_on_step_end_tensor_inputs": ["prompt_embeds"]}, r"what a callback can ask for is \['latents'\]"),
    ({"callback_on_step_end": lambda *_: 5}, "callback_on_step_end returned a int; return its dict, or None"),
    (
        {"callback_on_step_end": lambda *_: {"latents": torch.zeros(3)}},
        r"callback_on_step_end returned latents \(3,\); they must stay \(1, 2, 4, 8, 8\)",
    ),
]


@pytest.mark.parametrize(("settings", "sentence"), WRONG)
def test_call_that_cannot_be_meant_is_refused(
    settings: dict[str, Any], sentence: str, pipeline: MVDiffusionPipeline
) -> None:
    with pytest.raises(ValueError, match=sentence):
        latents_of(pipeline, picture(0), **settings)


WRONG_IMAGES: list[tuple[Any, str]] = [
    (None, "images is a NoneType; give a PIL image, a path"),
    (7, "images is a int; give"),
    ([], "images is empty"),
    ([[]], "images is empty, or those of an object are"),
    ([picture(0), [picture(1)]], "images is a list of Image, list; give"),
    ([None], "images is a list of NoneType; give"),
    ("missing.png", "missing.png does not exist"),
    (__file__, "test_habits.py is no image that can be read"),
    (np.zeros(5, np.uint8), r"images is of shape \(5,\); give"),
    (np.zeros((3, 16, 16), np.uint8), r"has shape \(3, 16, 16\); give an array \(H, W, 1, 3 or 4\)"),
    (torch.zeros(16, 16, 3), r"has shape \(16, 16, 3\); give a tensor \(1, 3 or 4, H, W\)"),
    (np.zeros((16, 16, 4), np.int64), "has values of type int64; give uint8 from 0 to 255, or floats from 0 to 1"),
    (torch.full((4, 16, 16), -1.0), "has floats from -1 to -1; give floats from 0 to 1"),
    (np.full((16, 16, 4), 255.0), "has floats from 255 to 255; give floats from 0 to 1"),
    (np.full((16, 16, 4), np.nan), "has floats from nan to nan"),
]


@pytest.mark.parametrize(("images", "sentence"), WRONG_IMAGES)
def test_images_that_are_none_are_refused_by_name(images: Any, sentence: str, pipeline: MVDiffusionPipeline) -> None:
    with pytest.raises(ValueError, match=sentence):
        latents_of(pipeline, images)


def test_image_that_cannot_be_used_is_named_among_several(pipeline: MVDiffusionPipeline) -> None:
    with pytest.raises(ValueError, match=r"image 1 of object 0: has values of type int64"):
        latents_of(pipeline, [picture(0), np.zeros((16, 16, 4), np.int64)])


def test_scheduler_of_another_kind_of_process_is_refused() -> None:
    pipeline = toy_pipeline(FlowMatchEulerDiscreteScheduler())
    with pytest.raises(ValueError, match="the scheduler is a FlowMatchEulerDiscreteScheduler, which is not made for"):
        latents_of(pipeline, picture(0))


def test_progress_bar_counts_the_steps_of_all_groups(
    pipeline: MVDiffusionPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.set_progress_bar_config(desc="views", ncols=60)
    try:
        latents_of(pipeline, [[picture(0)], [picture(1), picture(2)]], generator=[rng(), rng()])
    finally:
        pipeline.set_progress_bar_config(disable=True)
    assert "views: 100%" in (shown := capsys.readouterr().err)
    assert "4/4" in shown
    latents_of(pipeline, picture(0))
    assert capsys.readouterr().err == ""
