"""What a flow run shows of itself in Prefect: how far it is, how each stage ended, links to MLflow, contact sheets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State

from flows.run_records import read_record
from flows.status import training_links
from infra.mlflow_pages import MlflowPages

MADE = ("Completed", "Restored")
"""States of a stage whose output is new in the checkout."""


class Progress:
    """The share of stages that have ended, as an artifact that Prefect shows while a flow runs."""

    def __init__(self, target: str, names: Sequence[str]) -> None:
        self._names = names
        self._ended: list[str] = []
        made = create_progress_artifact(
            progress=0.0, key="progress", description=f"Stages up to {target}: {len(names)}"
        )
        assert isinstance(made, UUID)  # a coroutine is what asynchronous flows get
        self._artifact = made

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count a stage as ended after the `with` block, however it ends."""
        self._show(f"{name} runs")
        try:
            yield
        finally:
            self._ended.append(name)
            self._show(f"{name} has ended")

    def _show(self, text: str) -> None:
        share = 100.0 * len(self._ended) / max(1, len(self._names))
        update_progress_artifact(self._artifact, share, f"{len(self._ended)} of {len(self._names)} stages; {text}")


def show_stages(root: Path, target: str, states: Mapping[str, State], pages: MlflowPages | None) -> None:
    """Show a table of how each stage ended, with its MLflow run, and a contact sheet of each that was made.

    Args:
        root: The checkout.
        target: Name of the last stage.
        states: How each stage ended.
        pages: The MLflow server that has the runs; None: there is none, and their ids are shown without links.
    """
    rows = []
    for name, state in states.items():
        record = read_record(root, name)
        run_id = record.run_id if record else ""
        link = pages.run(run_id) if pages and run_id else None
        rows.append(
            {
                "stage": name,
                "state": state.name,
                "message": state.message,
                "MLflow": f"[{run_id}]({link})" if link else run_id,
            }
        )
        sheet = pages.image(run_id) if pages and run_id and state.name in MADE else None
        if sheet:
            create_image_artifact(sheet, key=f"sheet-{name}", description=f"A contact sheet of {name}")
    create_table_artifact(table=rows, key="stages", description=f"How the stages up to {target} ended")


def show_trainings(root: Path, tracking_uri: str | None) -> None:
    """Link to where MLflow's UI compares the trainings of a checkout; nothing where there is none yet."""
    if links := training_links(root, tracking_uri):
        markdown = "\n".join(f"- {link}" for link in links)
        create_markdown_artifact(markdown=markdown, key="trainings", description="The trainings in MLflow's UI")


def show_promotion(text: str) -> None:
    """Say whether the model became the champion."""
    create_markdown_artifact(markdown=text, key="promotion", description="Whether the model became the champion")
