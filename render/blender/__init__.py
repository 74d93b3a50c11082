"""One object in, posed views out. The only folder that knows Blender; what to render is decided elsewhere.

`objects` tells what is in a file, `views` renders it. Isolate by process what must not take others down.

An animated object stands as its first animation begins. Lights of the file do not shine; its cameras are not used.
"""
