"""The page of `python -m flows page`: photos in, views and a mesh out, in a browser."""
