"""From photos to posed views: the diffusers pipeline and its sampling loop."""
