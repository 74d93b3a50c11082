"""The store of MLflow runs that verbs read and tag."""

from pathlib import Path

from flows.environment import profile_name
from infra.profile import load_profile
from infra.tracking import TrackingStore


def tracking_store() -> TrackingStore:
    """Open the store that the profile names, for the checkout in the working directory."""
    return TrackingStore(Path.cwd(), load_profile(profile_name()).tracking_uri)
