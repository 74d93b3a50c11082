"""What a set of views must hold before anything is trained on it."""
