"""Scores of sampled views and meshes against the truth."""
