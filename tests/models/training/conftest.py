"""Trainings that several test files compare theirs with."""

from pathlib import Path
from typing import Any

import pytest

from tests.models.toy_latents import write_toy_latents
from tests.models.training.toy_ranks import end_state


@pytest.fixture(scope="session")
def latent_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy latent set."""
    return write_toy_latents(tmp_path_factory.mktemp("set") / "latents").folder


@pytest.fixture(scope="session")
def trained_by_two(latent_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint of a training by two processes."""
    return end_state(2, latent_folder, tmp_path_factory.mktemp("two") / "run")


@pytest.fixture(scope="session")
def trained_by_one(latent_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint of a training by one process."""
    return end_state(1, latent_folder, tmp_path_factory.mktemp("one") / "run")
