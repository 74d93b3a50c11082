"""Names of the files in a folder of the stage validate-views."""

PASSED = "passed.json"
"""All that trainings depend on."""
APPEARANCE = "appearance.npz"
"""Measurements of all objects."""
LOOKALIKES = "lookalikes.png"
"""Sheet of look-alikes, where there are any."""
