"""The page that shows a run: results, gallery, training curves, settings."""
