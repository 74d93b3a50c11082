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
MEMBERS = {
    "models": (
        "models.inference.pipeline.load_pipeline",
        "models.inference.pipeline.MVDiffusionPipeline",
        "models.inference.outputs.MVDiffusionOutput",
        "models.data.photo_files.read_photo",
        "models.data.images",
        "models.network.multiview_unet.MultiViewUNet",
        "models.network.mask_vae",
        "models.reconstruction.surface",
        "models.reconstruction.texture",
        "models.reconstruction.mesh",
        "models.reconstruction.views",
    ),
    "render": ("render.cameras", "render.views", "render.images", "render.placement", "render.rings", "render.passes"),
    "tasks": (
        "tasks.artifacts.views",
        "tasks.artifacts.test_set",
        "tasks.artifacts.tables",
        "tasks.artifacts.manifest",
        "tasks.outcome",
        "tasks.ports",
    ),
    "parameters": ("flows.params", "tasks.config", "render.config", "models.config"),
    "profiles": ("infra.profile",),
}


def reference_page(name: str) -> str:
    """Return a page as Markdown; mkdocstrings fills it."""
    parts = [f"# {REFERENCE[name]}\n\n{INTRODUCTION[name]}\n"]
    for member in MEMBERS[name]:
        module = member.rpartition(".")[0] if member.rpartition(".")[2][0].isupper() or "load_" in member else member
        parts.append(f"## {module.removeprefix('models.').removeprefix('tasks.')}\n\n::: {member}\n")
    return "\n".join(parts)
