"""One object in, posed views out. The only folder that knows Blender; what to render is decided elsewhere.

Isolate by process what must not take others down.

An animated object stands as its first animation begins. Lights of the file do not shine; its cameras are not used.
"""

from render.blender.objects import inspect, triangles
from render.blender.views import prepare, render_views, shoot

__all__ = ["inspect", "prepare", "render_views", "shoot", "triangles"]
