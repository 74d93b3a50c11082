"""Views that an object brings along, rendered by others, as condition views."""
