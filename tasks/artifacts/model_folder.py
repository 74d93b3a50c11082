"""Names of what lies in the folder of a trained model."""

UNET = "unet"
"""Folder of the averaged weights of a saved pipeline."""
RAW = "unet_raw"
"""Folder of the newest weights beside the averaged ones in `unet`."""
