"""Generates views of one object from photos with a saved model, and a contact sheet, turntables and meshes."""

import os
from collections.abc import Callable
from pathlib import Path

from tasks.commands.cut_outs import cut_out_photos
from tasks.commands.sample_files import MeshSettings, write_sample
from tasks.commands.sample_options import SampleOptions
from tasks.commands.sampler import Compute, Sampler, SampleSettings, check_model, check_photos

ELSEWHERE = "free some space, or name another folder with --out"


def sample_photos(options: SampleOptions, compute: Compute, say: Callable[[str], None]) -> list[Path]:
    """Write views, transforms.json, a contact sheet, turntables, what was cut out and, if there is one, a mesh.

    Every photo is read and cut out before the model is loaded; `say` is told a line about each.

    Returns the files. The folder appears whole or not at all. Raises ValueError when it is there already, when
    `options.model` holds no pipeline or takes fewer photos, or when a photo or mask cannot be used.
    """
    out = options.out
    if out.exists():
        raise ValueError(f"{out} exists; name another folder with --out, or delete it")
    check_model(options.model)
    check_photos(options.model, len(options.photos), options.align_to)
    _check_place(out)
    cut_outs = cut_out_photos(options)
    first_of: dict[str, str] = {}
    for cut_out in cut_outs:
        say(cut_out.story)
        first = first_of.setdefault(cut_out.fingerprint, cut_out.name)
        if first != cut_out.name:
            say(f"{cut_out.name}: shows the same picture as {first}; photos from other sides add more")
    images, settings = [cut_out.image for cut_out in cut_outs], settings_of(options)
    sampler = Sampler(options.model, compute, options.scheduler, shows_bar=True)
    sampled = sampler.sample([images], settings, [options.seed])[0]
    mesh = MeshSettings(options.mesh_resolution, options.mesh_vote, options.seed, compute.device)
    try:
        write_sample(out, images, sampled, settings.share, mesh)
    except OSError as error:
        raise ValueError(f"{out} cannot be written ({error.strerror or error}); {ELSEWHERE}") from error
    return sorted(path for path in out.rglob("*") if path.is_file())


def _check_place(out: Path) -> None:
    """Raise ValueError where a folder cannot be made, before anything is computed for it."""
    above = next(folder for folder in (out.absolute()).parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "may not be written by this user" if above.is_dir() else "is no folder"
        raise ValueError(f"{out} cannot be made, since {above} {why}; {ELSEWHERE}")


def settings_of(options: SampleOptions) -> SampleSettings:
    """Return what the options say of sampling."""
    return SampleSettings(
        steps=options.steps,
        guidance=options.guidance,
        align_to=options.align_to,
        elevations_deg=tuple(options.elevation) if options.elevation else None,
        fov_deg=options.fov,
        share=None if options.as_is else options.share,
    )
