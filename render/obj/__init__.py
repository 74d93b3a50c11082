"""Wavefront OBJ files and their material libraries, as far as they are not a matter of Blender.

OBJ names its other files in so many ways that Blender's importer, asked alone, loses some in silence. Here is decided
which file a name means (`lookup`), for the download, which copies these files, and for rendering alike; the importer is
given a library in which nothing is left to search for (`staging`). glTF and PLY files name theirs likewise.
"""
