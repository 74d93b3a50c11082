"""The training loop, what it trains, and its checkpoints, optimizers and processes."""
