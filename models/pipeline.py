"""Old place of the pipeline: model folders saved before 0.2 import it from here."""

from models.inference.pipeline import MVDiffusionPipeline as MVDiffusionPipeline
