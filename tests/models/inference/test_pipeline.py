"""The complete model at toy size: 16 pixel images, 8 x 8 latents, 8 targets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from PIL import Image

from models.data.images import as_rgba, crop_to_object, on_white, resized, to_arrays, to_tensor
from models.inference.pipeline import MVDiffusionPipeline, load_pipeline
from models.inference.sampling import sample_views
from models.network.noise import SchedulerName, build_scheduler
from tests.models.toy_models import NOISE, largest_difference, picture, toy_pipeline

STEPS = 3


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pipeline() -> MVDiffusionPipeline:
    return toy_pipeline(build_scheduler(NOISE, "ddpm"))


def test_pipeline_with_one_image_makes_all_targets_as_rgba(pipeline: MVDiffusionPipeline) -> None:
    steps = []
    result = pipeline(
        [picture(0)],
        num_inference_steps=STEPS,
        generator=rng(),
        callback=lambda step, latents: steps.append((step, tuple(latents.shape))),
    )
    assert [(view.mode, view.size) for view in result.images] == [("RGBA", (16, 16))] * 8
    assert result.target_ids == list(range(8))
    assert steps == [(step, (1, 8, 4, 8, 8)) for step in (1, 2, 3)]
    assert result.latents.isfinite().all()


@pytest.mark.parametrize(("name", "made_for", "steps"), [("ddpm", None, 75), ("unipc", None, 20), ("ddim", 4, 4)])
@pytest.mark.slow(seconds=2)
def test_pipeline_that_is_told_no_steps_takes_those_it_was_made_for_or_the_usual(
    tmp_path: Path, name: SchedulerName, made_for: int | None, steps: int
) -> None:
    parts = toy_pipeline(build_scheduler(NOISE, name)).components
    MVDiffusionPipeline(**parts, num_inference_steps=made_for).save_pretrained(tmp_path)
    loaded = MVDiffusionPipeline.from_pretrained(tmp_path)
    again = MVDiffusionPipeline.from_pipe(loaded)
    for pipeline in (loaded, again):
        pipeline.set_progress_bar_config(disable=True)
        pipeline([picture(0)], target_ids=[0], output_type="latent")
        assert pipeline.num_timesteps == steps


@pytest.mark.parametrize(
    ("asked", "made_for", "kind", "steps"),
    [
        (None, None, UniPCMultistepScheduler, 20),
        (None, 4, DDIMScheduler, 4),
        ("dpmsolver++", 4, DPMSolverMultistepScheduler, 20),
        ("ddpm", None, DDPMScheduler, 75),
    ],
)
def test_load_pipeline_keeps_the_sampler_of_a_model_that_was_made_for_a_number_of_steps(
    tmp_path: Path, asked: SchedulerName | None, made_for: int | None, kind: type, steps: int
) -> None:
    parts = toy_pipeline(build_scheduler(NOISE, "ddim")).components
    MVDiffusionPipeline(**parts, num_inference_steps=made_for).save_pretrained(tmp_path)
    loaded = load_pipeline(tmp_path, scheduler=asked, device="cpu")
    assert type(loaded.scheduler) is kind
    assert loaded.default_steps == steps


def test_pipeline_with_equal_generators_gives_equal_views(pipeline: MVDiffusionPipeline) -> None:
    first, again, other = (
        pipeline([picture(0)], num_inference_steps=STEPS, generator=rng(seed), output_type="np").images
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpmsolver++", "unipc"])
def test_pipeline_with_several_objects_equals_each_alone(name: SchedulerName) -> None:
    pipeline = toy_pipeline(build_scheduler(NOISE, name))
    objects = [[picture(0), picture(1)], [picture(2), picture(3)]]
    settings: dict[str, Any] = {"num_inference_steps": STEPS, "target_ids": [5, 2]}
    together = pipeline(objects, generator=[rng(1), rng(2)], **settings)
    assert [len(views) for views in together.images] == [2, 2]
    for row, seed in enumerate((1, 2)):
        alone = pipeline(objects[row], generator=rng(seed), **settings)
        assert largest_difference(alone.latents[0], together.latents[row]) < 1e-4


@pytest.mark.parametrize("name", ["ddpm", "unipc"])
def test_pipeline_with_different_numbers_of_images_equals_each_object_alone(name: SchedulerName) -> None:
    pipeline = toy_pipeline(build_scheduler(NOISE, name))
    objects = [[picture(0), picture(1)], [picture(2)], [picture(3), picture(4)]]
    settings: dict[str, Any] = {"num_inference_steps": STEPS, "target_ids": [5, 2]}
    together = pipeline(objects, generator=[rng(1), rng(2), rng(3)], **settings)
    for row, images in enumerate(objects):
        alone = pipeline(images, generator=rng(row + 1), **settings)
        assert largest_difference(alone.latents[0], together.latents[row]) < 1e-4


def test_pipeline_says_where_its_views_are_taken_from(pipeline: MVDiffusionPipeline) -> None:
    result = pipeline([picture(0)], num_inference_steps=1, generator=rng(), target_ids=[6, 1])
    assert [(camera.azimuth_deg, camera.elevation_deg) for camera in result.cameras] == [(180, 30), (90, 0)]
    assert {(camera.distance, camera.fov_deg) for camera in result.cameras} == {(1.5, 60)}
    row = pipeline([picture(0)], num_inference_steps=1, generator=rng(), elevations_deg=[30])
    assert row.target_ids == [4, 5, 6, 7]


def test_pipeline_aligned_to_another_image_puts_it_first(pipeline: MVDiffusionPipeline) -> None:
    settings: dict[str, Any] = {"num_inference_steps": 1, "target_ids": [0, 3], "output_type": "latent"}
    aligned = pipeline([picture(0), picture(1), picture(2)], align_to=1, generator=rng(), **settings)
    ordered = pipeline([picture(1), picture(0), picture(2)], generator=rng(), **settings)
    assert torch.equal(aligned.latents, ordered.latents)
    assert aligned.images == []


def test_pipeline_photo_before_a_plain_background_is_cut_out_and_framed(pipeline: MVDiffusionPipeline) -> None:
    photo = np.full((50, 70, 3), 230, dtype=np.uint8)
    photo[10:40, 20:45] = (200, 30, 40)
    mask = np.zeros((50, 70), dtype=np.uint8)
    mask[10:40, 20:45] = 255
    found, given = (resized(crop_to_object(as_rgba(photo, cover), 0.5), 16) for cover in (None, mask))
    settings: dict[str, Any] = {"num_inference_steps": 1, "target_ids": [0], "output_type": "latent"}
    for framed, masks in ((found, None), (given, [mask])):
        result = pipeline([photo], masks=masks, object_share=0.5, generator=rng(), **settings)
        assert torch.equal(result.latents, pipeline([framed], generator=rng(), **settings).latents)
    alphas = [np.asarray(image)[..., 3].astype(int) for image in (found, given)]
    assert np.abs(alphas[0] - alphas[1]).max() < 60
    assert [bool((row > 127).any()) for row in alphas[1]] == [4 <= index < 12 for index in range(16)]


def test_pipeline_with_a_subset_of_targets_makes_these_only(pipeline: MVDiffusionPipeline) -> None:
    result = pipeline([picture(0)], num_inference_steps=1, generator=rng(), target_ids=(7, 0, 3))
    assert result.target_ids == [7, 0, 3]
    assert len(result.images) == 3
    swapped = pipeline([picture(0)], num_inference_steps=1, generator=rng(), target_ids=(3, 0, 7))
    assert largest_difference(result.latents[:, 1], swapped.latents[:, 1]) > 1e-4  # noise belongs to the slot


def test_pipeline_depends_on_every_condition_image(pipeline: MVDiffusionPipeline) -> None:
    settings: dict[str, Any] = {"num_inference_steps": 1, "target_ids": [0]}
    both = pipeline([picture(0), picture(1)], generator=rng(), **settings).latents
    changed = pipeline([picture(0), picture(2)], generator=rng(), **settings).latents
    assert largest_difference(both, changed) > 1e-3


@pytest.mark.slow(seconds=2)
def test_pipeline_saved_and_loaded_gives_equal_views_and_no_paths(
    pipeline: MVDiffusionPipeline, tmp_path: Path
) -> None:
    pipeline.save_pretrained(tmp_path / "first")
    loaded = MVDiffusionPipeline.from_pretrained(tmp_path / "first")
    loaded.set_progress_bar_config(disable=True)
    settings: dict[str, Any] = {"num_inference_steps": STEPS, "output_type": "np"}
    for one, two in zip(
        pipeline([picture(0)], generator=rng(), **settings).images,
        loaded([picture(0)], generator=rng(), **settings).images,
        strict=True,
    ):
        assert np.array_equal(one, two)
    loaded.save_pretrained(tmp_path / "second")
    files = {path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file()}
    assert len(files) >= 9
    for file in files:
        content = (tmp_path / "second" / file).read_bytes()
        assert content == (tmp_path / "first" / file).read_bytes(), file
        assert str(tmp_path).encode() not in content, file


def test_pipeline_loaded_with_another_sampler_follows_the_same_process(tmp_path: Path) -> None:
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(tmp_path)
    loaded = load_pipeline(tmp_path, scheduler="unipc", device="cpu")
    expected = toy_pipeline(build_scheduler(NOISE, "unipc"))
    latents = [each([picture(0)], num_inference_steps=STEPS, generator=rng()).latents for each in (loaded, expected)]
    assert torch.equal(*latents)


@pytest.mark.usefixtures("bfloat16_attention")
def test_pipeline_in_bfloat16_makes_nearly_the_same_views(pipeline: MVDiffusionPipeline) -> None:
    half = toy_pipeline(build_scheduler(NOISE, "ddpm")).to(torch.bfloat16)
    settings: dict[str, Any] = {"num_inference_steps": 1, "target_ids": [0, 1]}
    exact = pipeline([picture(0)], generator=rng(), **settings).latents
    latents = half([picture(0)], generator=rng(), **settings).latents
    assert latents.dtype == torch.float32
    assert largest_difference(latents, exact) < 0.1 * exact.abs().max()


def encoded() -> dict[str, torch.Tensor]:
    latents = torch.randn(1, 2, 4, 8, 8, generator=rng(5))
    embeds, white = torch.randn(1, 2, 24, generator=rng(6)), torch.randn(4, 8, 8, generator=rng(7))
    return {"condition_latents_BKCHW": latents, "embeds_BLD": embeds, "white_latent_CHW": white}


def test_guidance_extrapolates_from_the_empty_condition(pipeline: MVDiffusionPipeline) -> None:
    given = encoded()
    empty = given | {name: torch.zeros_like(given[name]) for name in ("condition_latents_BKCHW", "embeds_BLD")}
    settings: dict[str, Any] = {"target_ids": [1, 6], "num_steps": 1}
    ddim = build_scheduler(NOISE, "ddim")  # one step of it is linear in the network's output

    def sample(inputs: dict[str, torch.Tensor], scale: float) -> torch.Tensor:
        return sample_views(pipeline.unet, ddim, **{**inputs, **settings}, guidance_scale=scale, generator=rng())

    conditional, unconditional = sample(given, 1.0), sample(empty, 1.0)
    expected = unconditional + 3 * (conditional - unconditional)
    torch.testing.assert_close(sample(given, 3.0), expected, atol=1e-4, rtol=1e-4)
    assert largest_difference(conditional, unconditional) > 1e-3


def test_pipeline_with_wrong_inputs_says_what_is_wrong(pipeline: MVDiffusionPipeline) -> None:
    one = picture(0)
    with pytest.raises(ValueError, match=r"its background is not plain: .* give a mask"):
        pipeline([one.convert("RGB")], num_inference_steps=1)
    with pytest.raises(ValueError, match=r"the mask covers 0 % of the image \(it is 0 everywhere\)"):
        pipeline([one], masks=[Image.new("L", one.size)], num_inference_steps=1)
    with pytest.raises(ValueError, match="the mask is 8 x 12 and its image 16 x 16"):
        pipeline([one], masks=[Image.new("L", (8, 12))], num_inference_steps=1)
    with pytest.raises(ValueError, match="masks must be as many as images"):
        pipeline([one, one], masks=[Image.new("L", one.size, 255)], num_inference_steps=1)
    with pytest.raises(ValueError, match="align_to is 1; an object has 1 images"):
        pipeline([one], align_to=1, num_inference_steps=1)
    with pytest.raises(ValueError, match=r"elevations_deg is \[10\]; the model knows \[0.0, 30.0\]"):
        pipeline([one], elevations_deg=[10], num_inference_steps=1)
    with pytest.raises(ValueError, match="not both"):
        pipeline([one], elevations_deg=[0], target_ids=[0], num_inference_steps=1)
    with pytest.raises(ValueError, match="24 x 16; pad it"):
        pipeline([one.resize((24, 16))], num_inference_steps=1)
    with pytest.raises(ValueError, match=r"an object has 4 images; .* from 1 to 3"):
        pipeline([one] * 4, num_inference_steps=1)
    with pytest.raises(ValueError, match="numbers from 0 to 7"):
        pipeline([one], num_inference_steps=1, target_ids=[8])
    with pytest.raises(ValueError, match="1 generators for 2 objects"):
        pipeline([[one], [one]], num_inference_steps=1, generator=rng())


def test_pipeline_takes_rendered_views_whatever_they_show(pipeline: MVDiffusionPipeline) -> None:
    pixels = np.zeros((16, 16, 4), dtype=np.uint8)
    nothing = Image.fromarray(pixels.copy())
    pixels[3:13, 8] = (200, 30, 30, 96)  # a sign that is seen edge-on
    for view in (Image.fromarray(pixels), nothing):
        with pytest.raises(ValueError, match="image 0 of object 0: the mask covers"):
            pipeline([view], num_inference_steps=1)
        assert len(pipeline([view], check_masks=False, num_inference_steps=1, generator=rng()).images) == 8
    with pytest.raises(ValueError, match="image 0 of object 0: an image is RGB; without check_masks give RGBA images"):
        pipeline([nothing.convert("RGB")], check_masks=False, num_inference_steps=1)
    with pytest.raises(ValueError, match="masks are given too; without check_masks give RGBA images alone"):
        pipeline([nothing], masks=[nothing.getchannel("A")], check_masks=False, num_inference_steps=1)


def test_images_to_tensors_and_back_are_the_same() -> None:
    images = [picture(0), picture(1)]
    for array, image in zip(to_arrays(to_tensor(images)), images, strict=True):
        np.testing.assert_array_equal(array, np.asarray(image))


def test_images_resized_do_not_bleed_hidden_colours_over_the_edge() -> None:
    pixels = np.zeros((32, 32, 4), dtype=np.uint8)
    pixels[..., 1] = 255  # green where it cannot be seen
    pixels[8:24, 8:24] = (255, 0, 0, 255)
    small = np.array(on_white(resized(Image.fromarray(pixels), 10)))
    assert (small[..., 1] <= small[..., 0]).all()
    assert np.array_equal(small[..., 1], small[..., 2])
