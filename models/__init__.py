"""The network, its losses, data, training loop and inference pipeline. Knows torch and diffusers, nothing of the stages."""
