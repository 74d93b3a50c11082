"""The service of `python -m flows serve-model`: photos in over HTTP, views and meshes out, in batches."""
