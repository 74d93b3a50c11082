"""Training losses and image metrics."""
