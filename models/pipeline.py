"""Re-exports the pipeline for model folders saved before version 0.2, whose loader file imports it from here."""

from models.inference.pipeline import MVDiffusionPipeline as MVDiffusionPipeline
