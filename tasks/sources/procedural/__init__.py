"""Everyday objects built in code: the embedded data source, which needs no network and no licence."""
