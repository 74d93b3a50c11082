"""What the reference shows of each package: what somebody calls who writes Python with it."""

REFERENCE = {
    "models": "Models from Python",
    "render": "Rendering from Python",
    "tasks": "Data sets from Python",
    "parameters": "Parameters",
    "profiles": "Profiles",
}
"""Name and title of each page."""
INTRODUCTION = {
    "models": "What loads a saved model, draws views and makes meshes of them: [a notebook](../notebooks/tour.md).",
    "render": "Cameras, images, and what a view is. Axes and units: [conventions](../conventions.md).",
    "tasks": "What reads the folders that stages leave. Layouts: [conventions](../conventions.md#folders).",
    "parameters": "The sections of `params.yaml`: whatever changes a result. Each is checked before anything runs.",
    "profiles": "The fields of a profile: where and how fast work is done. None of them changes a result.",
}
WHOLE: tuple[str, ...] = ()
"""Everything public of a module."""
MEMBERS: dict[str, dict[str, tuple[str, ...]]] = {
    "models": {
        "models.inference.pipeline": ("load_pipeline", "MVDiffusionPipeline"),
        "models.inference.outputs": ("MVDiffusionOutput",),
        "models.data.photo_files": ("read_photo",),
        "models.data.images": WHOLE,
        "models.network.multiview_unet": ("MultiViewUNet",),
        "models.network.mask_vae": WHOLE,
        "models.reconstruction.views": WHOLE,
        "models.reconstruction.surface": WHOLE,
        "models.reconstruction.mesh": WHOLE,
        "models.reconstruction.texture": WHOLE,
    },
    "render": dict.fromkeys(
        ("render.cameras", "render.views", "render.images", "render.placement", "render.rings", "render.passes"), WHOLE
    ),
    "tasks": dict.fromkeys(
        (
            "tasks.artifacts.views",
            "tasks.artifacts.test_set",
            "tasks.artifacts.tables",
            "tasks.artifacts.manifest",
            "tasks.outcome",
            "tasks.ports",
        ),
        WHOLE,
    ),
    "parameters": dict.fromkeys(("flows.params", "tasks.config", "render.config", "models.config"), WHOLE),
    "profiles": {"infra.profile": WHOLE},
}
"""What each page shows of which module."""


def reference_page(name: str) -> str:
    """Return a page as Markdown; mkdocstrings fills it."""
    parts = [f"# {REFERENCE[name]}\n\n{INTRODUCTION[name]}\n"]
    for module, members in MEMBERS[name].items():
        parts.append(f"## `{module}`\n")
        parts += [f"::: {module}.{member}\n" for member in members]
        if not members:
            parts.append(
                f"::: {module}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"
            )
    return "\n".join(parts)
