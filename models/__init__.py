"""The network, its losses, data, training loop and inference pipeline. Knows torch, nothing of the stages."""
