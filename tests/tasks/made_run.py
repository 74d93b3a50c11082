"""A whole finished run at toy size: analytic shapes drawn by the rasteriser, sealed like the real stages seal them."""

import csv
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from flows.params import Params, load_params
from models.reconstruction.raster import rasterise
from render.cameras import Camera
from render.config import RenderConfig
from render.passes import View
from render.views import ring_cameras, sparse_test_cameras
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.randomness import rng_for
from tasks.artifacts.shards import lay_out, read_item
from tasks.artifacts.views import ViewSet, as_cameras, seal_views, write_views
from tasks.outcome import Done, Outcome, Rejected
from tasks.report.inputs import ReportInputs
from tasks.validation.appearance import measure_objects
from tasks.validation.expectations import as_row, check
from tasks.validation.folder import APPEARANCE

Pixels = np.ndarray
Spoil = Callable[[Pixels, str], Pixels]
PARAMS = Path(__file__).parents[2] / "params.yaml"
SUPERSAMPLING = 4
CATALOG_FACTS: Mapping[str, Any] = {
    "objects": 5,
    "scored": 5,
    "licences": {"CC-BY-4.0": 4, "unknown": 1},
    "scores": [
        {"table": table, "rows": 9, "matched": 5, "used": used, "without_object": 4, "contradicted": 0} | scale
        for table, used, scale in (
            ("first.csv", 5, {"column": "score", "histogram": {"edges": [0, 3, 5, 10], "counts": [0, 2, 3]}}),
            ("second.csv", 0, {"column": "score", "histogram": {"edges": [0, 3, 5, 10], "counts": [1, 1, 3]}}),
            (
                "classes.parquet",
                5,
                {"column": "quality", "histogram": {"edges": [-0.5, 0.5, 1.5, 2.5, 3.5], "counts": [1, 0, 2, 2]}},
            ),
        )
    ],
}
SELECT_FACTS: Mapping[str, Any] = {
    "dropped": {"min_score": 2},
    "licences": {"CC-BY-4.0": 3},
    "agreement": [
        {"first": "first.csv", "second": "second.csv", "objects": 5, "spearman": 0.7, "both": 3, "only_first": 0}
        | {"only_second": 0, "neither": 2},
    ],
}


def shapes() -> dict[str, trimesh.Trimesh]:
    """Closed meshes whose longest side is one."""
    snowman = trimesh.util.concatenate([trimesh.creation.icosphere(3, 0.3), trimesh.creation.icosphere(3, 0.2)])
    assert isinstance(snowman, trimesh.Trimesh)
    snowman.vertices[: len(snowman.vertices) // 2, 2] -= 0.2
    snowman.vertices[len(snowman.vertices) // 2 :, 2] += 0.3
    return {
        "box": trimesh.creation.box((1.0, 0.6, 0.4)),
        "snowman": snowman,
        "torus": trimesh.creation.torus(0.36, 0.13, major_sections=48, minor_sections=24),
    }


def draw(mesh: trimesh.Trimesh, camera: Camera, side: int) -> Pixels:
    """One antialiased view: uint8 (side, side, 4), straight alpha, coloured by position."""
    big = as_cameras([camera], side * SUPERSAMPLING)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    raster = rasterise(vertices, faces, big, 0)
    place = raster.interpolate(vertices, faces)
    shade = 0.6 + 0.4 * np.abs(np.asarray(mesh.face_normals)[raster.face] @ [0.3, 0.5, 0.8])
    colour = (0.5 + 0.4 * np.sin(place * [7.0, 9.0, 8.0])) * shade[..., None]
    rgba = np.concatenate([colour, np.ones_like(shade)[..., None]], axis=2) * (raster.face >= 0)[..., None]
    small = rgba.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING, 4).mean(axis=(1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.rint(255 * small).astype(np.uint8)


def blur(strength: float) -> Spoil:
    """Samples of a model that is not done: soft, noisy colours and slightly eaten edges."""

    def spoil(image: Pixels, name: str) -> Pixels:
        rng = rng_for(0, "spoil", name)
        shifted = np.roll(image, rng.integers(-1, 2, 2), axis=(0, 1)).astype(float)
        noise = rng.normal(0, 40 * strength, image.shape)
        return np.clip((1 - strength) * shifted + strength * 128 * (shifted[..., 3:] > 0) + noise, 0, 255).astype(
            np.uint8
        )

    return spoil


def seal_view_set(
    out: Path,
    views: Mapping[str, tuple[list[Camera], list[Pixels]]],
    config: RenderConfig,
    groups: Mapping[str, str],
    flags: Mapping[str, Mapping[str, list[str]]] | None = None,
) -> None:
    """A sealed view set; `flags` names views that failed a quality gate, by object and gate."""
    for uid, (cameras, images) in views.items():
        write_views(out.parent / "items" / out.name / f"{uid}.tar", cameras, [View(image) for image in images], {})
    items = {uid: partial(read_item, out.parent / "items" / out.name / f"{uid}.tar") for uid in views}
    seal_views(items, lay_out(items, 100), out)
    noted: dict[str, dict[str, Any]] = {uid: {"flags": gates} for uid, gates in (flags or {}).items()}
    outcomes = [Done(uid, {"group": groups[uid], **noted.get(uid, {})}) for uid in views]
    seal(out, Kind.VIEWS, config=config, inputs={}, outcomes=outcomes)


def make_run(folder: Path, spoils: Mapping[str, Spoil | None], *, side: int = 32, ring: bool = False) -> ReportInputs:
    """Everything up to the samples; one case per stage1-sparse-1 style name, with how its pictures are spoilt.

    A gso case has the torus alone, whose true mesh is missing.
    """
    params = load_params(PARAMS)
    render = params.render.model_copy(update={"resolution": side})
    meshes, groups = shapes(), {"box": "train", "snowman": "held_out", "torus": "train"}
    truth = {}
    for uid, mesh in meshes.items():
        given, targets = sparse_test_cameras(render, conditions=4, azimuth="grid", rng=rng_for(0, uid))
        cameras = [*targets, *given, *_ring(params, ring)]
        truth[uid] = (cameras, [draw(mesh, camera, side) for camera in cameras])
        path = folder / "test_views" / "meshes" / f"{uid}.ply"
        path.parent.mkdir(parents=True, exist_ok=True)
        mesh.export(path)
    seal_view_set(folder / "test_views", truth, render, groups)
    gso = {"torus": truth["torus"]} if any("-gso-" in name for name in spoils) else {}
    seal_view_set(folder / "gso_eval", {uid: _ring_of(*views) for uid, views in gso.items()}, render, {"torus": "gso"})
    for case, spoil in spoils.items():
        seal_view_set(
            folder / "samples" / case, _sampled(gso if "-gso-" in case else truth, case, spoil), render, groups
        )
    cases = [_case(name) for name in spoils]
    seal(folder / "samples", Kind.SAMPLES, config=params.sample, inputs={}, facts={"cases": cases})
    return _seal_rest(folder, params, render, truth, groups)


def _ring_of(cameras: list[Camera], images: list[Pixels]) -> tuple[list[Camera], list[Pixels]]:
    """The ring's views alone."""
    kept = [(camera, image) for camera, image in zip(cameras, images, strict=True) if camera.name[0] == "r"]
    return [camera for camera, _ in kept], [image for _, image in kept]


def _ring(params: Params, wanted: bool) -> list[Camera]:
    test = params.render_test
    if not wanted:
        return []
    return ring_cameras(
        views=16, elevation_deg=test.ring_elevation_deg, fov_deg=test.ring_fov_deg, distance=test.ring_distance
    )


def _case(name: str) -> dict[str, str | int]:
    method, protocol, conditions = name.split("-")
    return {"name": name, "method": method, "protocol": protocol, "conditions": int(conditions)}


def _sampled(
    truth: Mapping[str, tuple[list[Camera], list[Pixels]]], case: str, spoil: Spoil | None
) -> dict[str, tuple[list[Camera], list[Pixels]]]:
    """The true targets (and every second ring view), spoilt."""
    wanted = ("t",) if "sparse" in case else ("t", "r")
    sampled = {}
    for uid, (cameras, images) in truth.items():
        pairs = [
            (camera, image if spoil is None else spoil(image, f"{case}/{uid}/{camera.name}"))
            for camera, image in zip(cameras, images, strict=True)
            if camera.name[0] in wanted and not (camera.name[0] == "r" and int(camera.name[1:]) % 2)
        ]
        sampled[uid] = ([camera for camera, _ in pairs], [image for _, image in pairs])
    return sampled


def _seal_rest(
    folder: Path,
    params: Params,
    render: RenderConfig,
    truth: Mapping[str, tuple[list[Camera], list[Pixels]]],
    groups: Mapping[str, str],
) -> ReportInputs:
    done: list[Outcome] = [Done(uid) for uid in truth]
    poor: list[Outcome] = [Rejected("vase", "score 4.2 < 5.0"), Rejected("<script>lamp</script>", "score 3.1 < 5.0")]
    seal(folder / "catalog", Kind.CATALOG, config=params.catalog, inputs={}, facts=CATALOG_FACTS)
    seal(
        folder / "selected", Kind.SELECTED, config=params.select, inputs={}, outcomes=[*done, *poor], facts=SELECT_FACTS
    )
    seal(folder / "objects", Kind.OBJECTS, config=params.download, inputs={}, outcomes=done)
    seal(folder / "normalized", Kind.PLACEMENTS, config=params.normalize, inputs={}, outcomes=done)
    flags = {"torus": {"clipped": ["t03", "t11"], "blown": ["t03"]}, "box": {"clipped": ["c00"]}}
    seal_view_set(folder / "views", truth, render, groups, flags)
    _validate(folder, params)
    statistics = {"means_C": [0.93, -0.12], "deviations_C": [0.46, 1.08], "deviation": 1.0}
    seal(folder / "latents", Kind.LATENTS, config=params.encode, inputs={}, facts={"scaled_latents": statistics})
    for name, kind, config in (
        ("mask_vae", Kind.MASK_VAE, params.train_vae),
        ("stage1", Kind.DIFFUSION_MODEL, params.train_stage1),
        ("stage2", Kind.DIFFUSION_MODEL, params.train_stage2),
        ("stage3", Kind.DIFFUSION_MODEL, params.train_stage3),
    ):
        _write_history(folder / name / "history.csv")
        seal(folder / name, kind, config=config, inputs={})
    seal(folder / "distilled", Kind.DIFFUSION_MODEL, config=params.distil, inputs={})  # off: no model, no history
    for name, kind in (("views", Kind.SAMPLES), ("meshes", Kind.MESHES), (".", Kind.BASELINES)):
        seal(folder / "baselines" / name, kind, config=params.baselines, inputs={}, facts={"cases": []})
    return ReportInputs(
        catalog=folder / "catalog",
        selected=folder / "selected",
        objects=folder / "objects",
        normalized=folder / "normalized",
        views=folder / "views",
        validation=folder / "validation",
        mask_vae=folder / "mask_vae",
        latents=folder / "latents",
        stages={stage: folder / stage for stage in ("stage1", "stage2", "stage3")},
        distilled=folder / "distilled",
        test_views=folder / "test_views",
        gso_eval=folder / "gso_eval",
        baselines=folder / "baselines",
        samples=folder / "samples",
        meshes=folder / "meshes",
    )


def _validate(folder: Path, params: Params) -> None:
    """Measure the views as the stage does, without a pool."""
    appearance = measure_objects(ViewSet.open(folder / "views"), params.validate_views.views_each)
    found, _ = check(appearance, np.array([False] * (len(appearance.uid) - 1) + [True]), params.validate_views)
    out = folder / "validation"
    appearance.save(out / APPEARANCE)
    seal(
        out,
        Kind.VALIDATION,
        config=params.validate_views,
        inputs={},
        facts={"expectations": [as_row(one) for one in found]},
    )


def _write_history(path: Path) -> None:
    rng = rng_for(0, path.parent.name)
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["samples_seen", "loss", "lr", "val_loss"])
        for step in range(1, 101):
            loss = 0.05 + np.exp(-step / 20) * rng.uniform(0.8, 1.2)
            writer.writerow([step * 80, f"{loss:.6f}", "0.001", f"{loss * 1.1:.6f}" if step % 10 == 0 else ""])
