"""One object in, posed RGBA views out: NumPy cameras and Blender. Knows nothing of the pipeline around it."""
