"""Lets the MLflow runs of a project that was moved or copied find their artifacts, and keep new ones, where it is now.

MLflow writes the absolute address of every run's artifacts into its database; it knows no address relative to that.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

logger = logging.getLogger(__name__)
COLUMNS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))
"""Where MLflow keeps such addresses; each row of these tables belongs to an experiment."""
VERSIONS = ("source", "storage_location")
"""Columns of registered versions with such addresses; a version belongs to the experiment of its run."""
LOCKED_SECONDS = 10.0


def adopt_runs(database: Path, experiment: str, artifacts: Path) -> None:
    """Make all artifacts of an experiment lie in `artifacts`, which has the names of old in the project.

    Args:
        database: MLflow's SQLite file; nothing is done while there is none, or none with an experiment.
        experiment: Name of the experiment; others are left alone.
        artifacts: Absolute path of its folder now.

    Raises:
        sqlite3.Error: The file is no database, or another process keeps it locked.
    """
    if not database.exists():
        return
    here = artifacts.as_uri()
    with closing(sqlite3.connect(database, timeout=LOCKED_SECONDS)) as connection, connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables.issuperset(table for table, _ in COLUMNS):
            return
        found = connection.execute(
            "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?", (experiment,)
        ).fetchone()
        if found is None or found[1] == here or not found[1].endswith(f"/{artifacts.parent.name}/{artifacts.name}"):
            return
        number, before = found
        for table, column in COLUMNS:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - our own names
                f"WHERE experiment_id = ? AND ({column} = ? OR substr({column}, 1, ?) = ?)",
                (here, len(before) + 1, number, before, len(before) + 1, f"{before}/"),
            )
        for column in VERSIONS if "model_versions" in tables else ():
            connection.execute(
                f"UPDATE model_versions SET {column} = ? || substr({column}, ?) "  # noqa: S608 - our own names
                f"WHERE substr({column}, 1, ?) = ? AND run_id IN (SELECT run_uuid FROM runs WHERE experiment_id = ?)",
                (here, len(before) + 1, len(before) + 1, f"{before}/", number),
            )
    logger.warning("the project was at %s; its MLflow runs now keep their files in %s", before, artifacts)
