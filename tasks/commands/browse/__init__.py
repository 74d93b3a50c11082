"""The data browser of `python -m flows browse`: what became of each object, and how it looks."""
