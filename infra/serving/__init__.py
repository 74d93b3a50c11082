"""Serving over HTTP by Ray Serve."""
