"""What training reads: latents in shards, random draws, samples, images."""
