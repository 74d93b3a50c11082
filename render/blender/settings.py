"""Hands engine, quality, device, light and camera to Blender; their values are decided elsewhere."""

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from render.blender.scene import add_object
from render.cameras import Camera, look_at_origin
from render.config import RenderConfig
from render.device import Device, Machine
from render.lights import Rig
from render.quality import Quality
from render.window import PixelWindow

LEAST_THREADS = 2
"""Told to use one thread, Cycles keeps a second one spinning: 1.9 times the processor time for the same view. Two
threads on one processor cost what one would."""
MOST_LAYERS = 64
"""Transparent surfaces and backs of single-sided ones that a ray passes; Cycles' 8 turn deep foliage black."""
ENGINES = {"cycles": "CYCLES", "eevee": "BLENDER_EEVEE_NEXT"}
DEVICES = ("OPTIX", "CUDA", "HIP", "ONEAPI", "METAL")
"""Cycles' kinds of GPU, the fastest first where one card is of two kinds."""


def configure(config: RenderConfig, machine: Machine) -> None:
    """Set what all views of an object share: engine, resolution, file format, quality, device.

    Raises RuntimeError when there is no such device as `machine` asks for.
    """
    scene = bpy.context.scene
    render, file = scene.render, scene.render.image_settings
    render.engine, render.film_transparent, render.use_persistent_data = ENGINES[config.engine], True, True
    render.resolution_x = render.resolution_y = config.resolution
    render.threads_mode, render.threads = "FIXED", max(machine.threads, LEAST_THREADS)
    render.use_compositing = render.use_sequencer = False
    render.dither_intensity = 0  # so that 8 bits are the exact rounding of Blender's floats
    file.file_format, file.color_mode, file.color_depth, file.compression = "PNG", "RGBA", "8", 0
    scene.view_settings.view_transform = "Standard"
    scene.cycles.use_light_tree = True
    scene.eevee.taa_render_samples = config.quality.samples
    set_quality(config.quality)
    set_device(machine.device)


def set_device(device: Device) -> None:
    """Let Cycles compute on the processor or on all graphics cards of one kind.

    Raises RuntimeError when there is no such card.
    """
    cycles, preferences = bpy.context.scene.cycles, bpy.context.preferences.addons["cycles"].preferences
    cycles.device = "CPU" if device == "cpu" else "GPU"
    if device == "cpu":
        return
    for kind in DEVICES if device == "gpu" else (device.upper(),):
        if any(card.type == kind for card in preferences.get_devices_for_type(kind)):
            preferences.compute_device_type = kind
            for card in preferences.devices:
                card.use = card.type == kind
            return
    raise RuntimeError(
        f"the profile's render_device is {device}, and Blender finds no such card here; "
        "set render_device: cpu, or give the workers a card (worker_gpus, the card's driver)"
    )


def set_quality(quality: Quality) -> None:
    """Set samples, bounces and denoiser of Cycles."""
    cycles = bpy.context.scene.cycles
    cycles.samples, cycles.max_bounces = quality.samples, quality.max_bounces
    cycles.transparent_max_bounces = MOST_LAYERS
    cycles.use_adaptive_sampling = quality.noise_threshold > 0
    cycles.adaptive_threshold = quality.noise_threshold
    cycles.use_denoising, cycles.denoiser = quality.denoise != "none", "OPENIMAGEDENOISE"
    cycles.denoising_quality = "HIGH" if quality.denoise == "high" else "FAST"
    cycles.denoising_prefilter, cycles.denoising_input_passes = "NONE", "RGB_ALBEDO"


def add_lights(rig: Rig) -> None:
    """Add the world background and the suns of a light rig to the scene."""
    bpy.context.scene.world = world = bpy.data.worlds.new("environment")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (1, 1, 1, 1)
    background.inputs["Strength"].default_value = rig.sky
    if rig.ground != rig.sky:
        split_at_the_horizon(world.node_tree, rig)
    for sun in rig.suns:
        light = bpy.data.lights.new("sun", "SUN")
        light.energy, light.angle = sun.strength, math.radians(sun.softness_deg)
        add_object("sun", light, look_at_origin(sun.azimuth_deg, sun.elevation_deg, 1.0))


def split_at_the_horizon(tree: Any, rig: Rig) -> None:
    """Give the background the radiance `rig.sky` above the horizon and `rig.ground` below it."""
    direction, parts, strength = (
        tree.nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "SeparateXYZ", "MapRange")
    )
    for name, value in {"From Min": -1e-6, "From Max": 1e-6, "To Min": rig.ground, "To Max": rig.sky}.items():
        strength.inputs[name].default_value = value
    tree.links.new(direction.outputs["Generated"], parts.inputs["Vector"])
    tree.links.new(parts.outputs["Z"], strength.inputs["Value"])
    tree.links.new(strength.outputs["Result"], tree.nodes["Background"].inputs["Strength"])


def add_camera() -> None:
    """Add a camera whose field of view is horizontal and whose clipping planes cut nothing off."""
    lens = bpy.data.cameras.new("camera")
    lens.sensor_fit, lens.clip_start, lens.clip_end = "HORIZONTAL", 1e-3, 1e3
    bpy.context.scene.camera = add_object("camera", lens, np.eye(4))


def place_camera(camera: Camera) -> None:
    """Give Blender's camera the pose and the field of view of `camera`."""
    placed = bpy.context.scene.camera
    placed.matrix_world = Matrix(camera.world_from_camera.tolist())
    placed.data.angle = math.radians(camera.fov_deg)


def render_only(window: PixelWindow, side: int) -> None:
    """Limit rendering to `window` of an image of `side` pixels.

    A quarter of a pixel is added because Blender cuts fractions off; it counts rows from the bottom.
    """
    render = bpy.context.scene.render
    render.use_border = render.use_crop_to_border = True
    render.border_min_x, render.border_max_x = (window.left + 0.25) / side, (window.right + 0.25) / side
    render.border_min_y, render.border_max_y = (side - window.bottom + 0.25) / side, (side - window.top + 0.25) / side
