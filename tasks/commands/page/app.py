"""The page itself: what is on it, what happens when a visitor does something, and its server."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from tasks.commands.cut_outs import Matting
from tasks.commands.loopback import OwnHosts, SelfContained, is_loopback
from tasks.commands.page import fragments
from tasks.commands.page.drawing import Drawer, Progress
from tasks.commands.page.hints import with_hints
from tasks.commands.page.options import PageOptions
from tasks.commands.sample_files import TEXTURED_MESH
from tasks.commands.sampler import SampledViews, SampleSettings
from tasks.commands.uploads import MB, Photos, Upload, UploadLimits, read_uploads
from tasks.report.viewer import three_js_with_loader

TITLE = "MVDiffusion++"
LEAD = (
    "One to ten photos of an object, in any order and without poses, become 32 views around it and a mesh. "
    "Photos stay on the machine that serves this page."
)
KEPT_SECONDS = 3600
"""What visitors brought and got is deleted after this time, or when the page ends."""
REFUSED_FACTOR = 4
"""Files of this many times the limit are broken off while they come; those in between get a sentence."""
ARCHIVE = "views.zip"
NOTHING_YET = '<p class="subdued">Nothing is drawn yet: drop photos, then press the button.</p>'
MATTING = Matting(
    remedy="; or drag a box around the object on its photo",
    alpha_remedy=", which a box around the object replaces: drag it on the photo",
)
HINT = (
    "Where a background is not plain, drag a box around the object on its photo, or give a mask: a picture, white or "
    "opaque where the object is, called like its photo (front_mask.png for front.jpg)."
)
NO_MESH = "the views enclose nothing, so there is no mesh"
LIMITS = UploadLimits()
DRAWING = "drawing"
"""What shares one queue: sampling."""


@contextmanager
def served_page(
    options: PageOptions, drawer: Drawer, models: Sequence[str], folder: Path, limits: UploadLimits = LIMITS
) -> Iterator[str]:
    """Serve the page while this is open; yields its address.

    Args:
        options: Address, port and queue.
        drawer: Samples for the visitors.
        models: Names of models to choose from, the first one chosen.
        folder: Takes what visitors bring and get; it is the caller's to remove.
        limits: What is taken of a visitor.

    Raises:
        ValueError: The port cannot be had.
    """
    # where Gradio keeps what visitors bring and get, and whether it tells its makers what is used
    with _variables(GRADIO_TEMP_DIR=str(folder / "kept"), GRADIO_ANALYTICS_ENABLED="False"):
        making = folder / "making"  # not below Gradio's: from there it serves what is deleted meanwhile
        making.mkdir()
        page = build_page(options, drawer, models, limits, making)
        try:
            yield _launch(page, options, limits, making)
        finally:
            page.close(verbose=False)


@contextmanager
def _variables(**values: str) -> Iterator[None]:
    """Set environment variables, which is how Gradio is told, while this is open."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def build_page(
    options: PageOptions, drawer: Drawer, models: Sequence[str], limits: UploadLimits, folder: Path
) -> gr.Blocks:
    """Return the page, not served yet; `folder` takes what is being made for visitors."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEPT_SECONDS // 4, KEPT_SECONDS)) as page:
        photos = gr.State(Photos(), time_to_live=KEPT_SECONDS)
        made = gr.State(None, time_to_live=KEPT_SECONDS, delete_callback=_forget)
        gr.HTML(f'<div class="masthead"><h1>{TITLE}</h1><p>{LEAD}</p></div>')
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=300):
                gr.HTML(_heading("1. Photos of one object"))
                files = gr.File(
                    file_count="multiple",
                    label=f"Drop 1 to {limits.photos} photos, {limits.megabytes:g} MB each at most",
                    height=150,
                    elem_id="photos",
                )
                found = gr.HTML(elem_id="found")
                masks, boxes = _hints()
                gr.HTML(_heading("2. Model"))
                model = _model_choice(options, models)
                settings = _settings()
                with gr.Row():
                    draw = gr.Button("Draw the views", variant="primary", elem_id="draw")
                    stop = gr.Button("Stop", elem_id="stop")
            with gr.Column(scale=7, min_width=300):
                results = _results()

        hints = [files, masks, boxes]
        for given in hints:
            given.change(
                _inspect_with(limits),
                hints,
                [photos, found],
                concurrency_limit=1,
                trigger_mode="always_last",
                api_visibility="private",
            )
        told = results[0]
        drawing = draw.click(
            _draw_with(drawer, folder),
            [photos, made, model, *settings],
            [made, *results],
            concurrency_limit=1,
            concurrency_id=DRAWING,
            show_progress="hidden",
            api_visibility="private",
        )
        stop.click(
            lambda: '<p class="subdued">Stopped.</p>',
            None,
            told,
            cancels=[drawing],
            show_progress="hidden",
            api_visibility="private",
        )
    page.queue(max_size=options.waiting, default_concurrency_limit=1)
    return page


def _hints() -> list[Any]:
    """Masks, and boxes as text, which dragging on a photo writes; so the field must not be in a fold, where it is no
    part of the page while it is closed.
    """
    gr.HTML(f'<p class="subdued hint">{HINT}</p>')
    masks = gr.File(file_count="multiple", label="Masks, called like their photos", height=150, elem_id="masks")
    boxes = gr.Textbox(
        "", label="Boxes", placeholder="front.jpg 120,80,900,1040", lines=1, max_lines=10, elem_id="boxes"
    )
    return [masks, boxes]


def _inspect_with(limits: UploadLimits) -> Callable[..., tuple[Photos, str]]:
    def inspect(paths: list[str] | None, masks: list[str] | None, boxes: str | None) -> tuple[Photos, str]:
        given, given_masks = ([Upload(Path(path).name, Path(path)) for path in some or []] for some in (paths, masks))
        uploads, faults = with_hints(given, given_masks, boxes or "")
        seen = read_uploads(uploads, limits, MATTING)
        seen = replace(seen, faults=[*faults, *seen.faults]) if given else Photos()
        return seen, fragments.shown_photos(seen, uploads, limits)

    return inspect


def _results() -> list[Any]:
    """What tells of the drawing, the views, the mesh and the archive, below each other and beside each other."""
    gr.HTML(_heading("3. Views and mesh"))
    told = gr.HTML(NOTHING_YET, elem_id="told")
    with gr.Row(equal_height=False):
        views = gr.HTML(elem_id="views", visible=False, min_width=280)
        with gr.Column(min_width=280):
            mesh = gr.HTML(elem_id="mesh", visible=False)
            archive = gr.DownloadButton("Download everything (ZIP)", elem_id="archive", visible=False)
    return [told, views, mesh, archive]


def _heading(text: str) -> str:
    return f'<h2 class="heading">{text}</h2>'


def _model_choice(options: PageOptions, models: Sequence[str]) -> gr.Dropdown:
    """Whoever sits at another machine chooses among the models that are offered, and names no folder of this one."""
    may_name = is_loopback(options.host)
    return gr.Dropdown(
        list(models),
        value=models[0] if models else None,
        allow_custom_value=may_name,
        label="Model",
        info="A folder, owner/name of a hub, or models:/NAME@champion." if may_name else None,
        elem_id="model",
    )


def _settings() -> list[Any]:
    """Steps, guidance, seed and scheduler, in the order of the arguments of drawing."""
    with gr.Accordion("Settings", open=False), gr.Row():
        steps = gr.Number(None, label="Denoising steps", info="Empty: the model's own.", precision=0, elem_id="steps")
        guidance = gr.Number(1.0, label="Guidance", info="1: none.", minimum=1)
        seed = gr.Number(0, label="Seed", precision=0, minimum=0)
    return [steps, guidance, seed]


def _draw_with(drawer: Drawer, folder: Path) -> Callable[..., Iterator[list[Any]]]:
    def draw(
        photos: Photos,
        before: Path | None,
        model: str | None,
        steps: float | None,
        guidance: float | None,
        seed: float | None,
    ) -> Iterator[list[Any]]:
        _forget(before)
        hidden = [gr.update(visible=False)] * 3
        if not photos.cut_outs:
            yield [None, fragments.shown_fault("there is no photo to draw from: drop one that can be used"), *hidden]
            return
        if not model:
            yield [None, fragments.shown_fault("no model is chosen: name the folder of one"), *hidden]
            return
        yield [None, fragments.shown_progress(Progress("waiting for the visitor before", 0.0)), *hidden]
        settings = SampleSettings(steps=None if steps is None else int(steps), guidance=guidance or 1.0)
        images, made = [cut.image for cut in photos.cut_outs], None
        try:
            made = Path(tempfile.mkdtemp(dir=folder))
            out = made / "views"
            for news in drawer.draw(model, images, settings, int(seed or 0), out):
                if isinstance(news, Progress):
                    yield [gr.skip(), fragments.shown_progress(news), *[gr.skip()] * 3]
                else:
                    shutil.make_archive(str(out), "zip", out)
                    yield [made, *_drawn(news, out, made / ARCHIVE)]
                    return
        except (ValueError, RuntimeError, ConnectionError) as error:
            sentence = str(error)
        except OSError as error:
            sentence = f"the views cannot be written ({error.strerror or error}): free some space, then draw again"
        _forget(made)
        yield [None, fragments.shown_fault(sentence), *hidden]

    return draw


def _drawn(sampled: SampledViews, folder: Path, archive: Path) -> list[Any]:
    """Return what tells of a finished drawing, for `_results`."""
    mesh = folder / TEXTURED_MESH
    shown, note = gr.update(value="", visible=False), fragments.shown_note(NO_MESH)
    if mesh.exists():
        shown, note = gr.update(value=fragments.shown_mesh(mesh.read_bytes()), visible=True), ""
    views = gr.update(value=fragments.shown_views(sampled), visible=True)
    return [note, views, shown, gr.update(value=str(archive), visible=True)]


def _forget(made: Path | None) -> None:
    """Delete what was made for a visitor."""
    if made is not None:
        shutil.rmtree(made, ignore_errors=True)


def _launch(page: gr.Blocks, options: PageOptions, limits: UploadLimits, making: Path) -> str:
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    templates = resources.files("tasks.commands.page") / "templates"
    own = [(templates / name).read_text(encoding="utf-8") for name in ("turntable.js", "mesh.js", "boxes.js")]
    scripts = [three_js_with_loader(), *own]
    try:
        _, address, _ = page.launch(
            server_name=options.host,
            server_port=options.port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            enable_monitoring=False,
            footer_links=[],
            allowed_paths=[str(making)],
            max_file_size=int(limits.megabytes * MB * REFUSED_FACTOR),
            theme=gr.themes.Default(font=sans, font_mono=["ui-monospace", "Menlo", "monospace"]),
            css=(templates / "page.css").read_text(encoding="utf-8"),
            head="".join(f"<script>{script}</script>" for script in scripts),
            app_kwargs={"middleware": [Middleware(OwnHosts, host=options.host), Middleware(SelfContained)]},
        )
    except OSError as error:
        raise ValueError(
            f"port {options.port} of {options.host} cannot be had ({error}): give another one with --port"
        ) from error
    return str(address)
