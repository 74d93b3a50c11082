"""What the command line offers beside the stages: views from photos, export for other tools."""
