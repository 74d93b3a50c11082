"""The command `aesthetic-scores`: scores of objects, computed from their images."""
