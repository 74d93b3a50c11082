"""Predictions of other people's systems: one reader per layout of files, brought to one form and one frame."""
