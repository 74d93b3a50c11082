"""The networks: multi-view UNet, attention, mask-aware VAE, image encoder, noise process."""
