"""Records stages in MLflow: one run per stage, in one experiment, so that trainings line up in its UI.

The stages of one pipeline run hang below a run of their own.

Satisfies `Tracker` of tasks/ports.py. Knows neither stages nor DVC: whoever starts a run hands it its tags.
"""

import json
import logging
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from sqlalchemy.exc import SQLAlchemyError

from infra.health import mlflow_error
from infra.logged_models.log import log_model
from infra.logged_models.weights import WeightList
from infra.mlflow_import import import_mlflow
from infra.moved_runs import adopt_runs

EXPERIMENT = "mvdiffusion-pp"
KIND_TAG = ("mlflow.experimentKind", "custom_model_development")
"""Tag of the experiment that lets MLflow's UI open its view of trainings and not the one of language models."""
FLUSH_ROWS = 200
FLUSH_SECONDS = 5.0
LONGEST_WAIT = 120.0
"""Seconds between two questions to a server that does not answer."""
SAMPLING_SECONDS = 10.0
"""Time between samples of the system metrics; a shorter run has none."""
PARAMS_PER_CALL = 100
"""Limit that MLflow sets."""
DIGEST_CHARACTERS = 36
"""Limit that MLflow sets."""
LOCKED = (
    "another process writes to it and does not end; end that one (`fuser FILE` names it), and give the command again"
)
logger = logging.getLogger(__name__)
PIPELINE_TAG = "pipeline.run"
"""Tag of the run of a whole pipeline run: what started it."""
PARENT_TAG = "mlflow.parentRunId"
Status = Literal["FINISHED", "FAILED", "KILLED"]


class TrackingStore:
    """Keeps runs: on a server, or by default in a database and a folder inside the project.

    `client` is MLflow's own, for what is read back of the runs.
    """

    def __init__(self, root: Path, uri: str | None, *, attempts: int = 1) -> None:
        """Connect and make the experiment.

        Args:
            root: The checkout.
            uri: A server or store; None: mlruns/mlflow.db under `root`.
            attempts: How often a server is asked that does not answer, with waits that double from a second to two
                minutes.

        Raises:
            RuntimeError: Nothing there takes runs; names the address and the remedy.
        """
        self.uri = uri or local_uri(root)
        self.is_server = self.uri.startswith(("http://", "https://"))
        if self.is_server:
            self._check_server(attempts)
        mlflow = import_mlflow()
        artifacts = root.resolve() / "mlruns" / "artifacts"
        try:
            if self.uri == local_uri(root):
                adopt_runs(artifacts.with_name("mlflow.db"), EXPERIMENT, artifacts)
            self.client: Any = mlflow.MlflowClient(tracking_uri=self.uri)
            self.experiment_id = self._find_experiment(None if self.is_server else artifacts)
        except (mlflow.exceptions.MlflowException, SQLAlchemyError, sqlite3.Error) as error:
            reason = str(error).splitlines()[0]
            remedy = LOCKED if "database is locked" in reason else self._remedy()
            raise RuntimeError(f"MLflow at {self.uri} refuses: {reason}; {remedy}") from error

    @contextmanager
    def run(
        self, name: str, *, tags: Mapping[str, str], params: Mapping[str, Any], places: Sequence[str] = ()
    ) -> Iterator["RunTracker"]:
        """Record one run; it ends FINISHED, FAILED after an exception, KILLED after KeyboardInterrupt or SystemExit.

        Args:
            name: Of the run.
            tags: Of the run.
            params: Numbers, strings and lists; others than strings are kept as JSON.
            places: Where files of its models are stored by their MD5 (`WeightList.places`); none: MLflow keeps them.
        """
        tracker = self._start(name, tags, params, places)
        with tracker.ending(), self._watched(tracker.run_id):
            yield tracker

    @contextmanager
    def pipeline(self, key: str, tags: Mapping[str, str]) -> Iterator[str]:
        """Open the run of a whole pipeline run while one of its stages runs, and yield its id.

        No process lives as long as a pipeline run everywhere: under `dvc repro` each stage is a process of its own. So
        the first stage makes the run, every stage opens it again, and it ends as the last one did.

        Args:
            key: What started the stages, alike for all of them and for no other pipeline run.
            tags: Of the run, when it is made.
        """
        found = self.client.search_runs([self.experiment_id], f"tags.`{PIPELINE_TAG}` = '{key}'", max_results=1)
        if found:
            run_id = found[0].info.run_id
            self.client.update_run(run_id, status="RUNNING")
        else:
            made = self.client.create_run(self.experiment_id, tags={**tags, PIPELINE_TAG: key}, run_name="pipeline")
            run_id = made.info.run_id
        with RunTracker(self.client, self.experiment_id, run_id).ending():
            yield run_id

    def knows(self, run_id: str) -> bool:
        """Return whether the run is kept here; it is not after the store was deleted or exchanged."""
        mlflow = import_mlflow()
        try:
            self.client.get_run(run_id)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Add tags to a run, ended or not."""
        for key, value in tags.items():
            self.client.set_tag(run_id, key, value)

    def end(self, run_id: str, status: Status) -> None:
        """Mark a run as ended; a run that ended earlier is left as it is."""
        _end(self.client, run_id, status)

    @contextmanager
    def _watched(self, run_id: str) -> Iterator[None]:
        """Log metrics "system/..." of the run meanwhile: processor, memory, disk, network, and graphics cards."""
        module = import_mlflow().system_metrics.system_metrics_monitor
        monitor = module.SystemMetricsMonitor(run_id, SAMPLING_SECONDS, tracking_uri=self.uri)
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

    def _start(
        self, name: str, tags: Mapping[str, str], params: Mapping[str, Any], places: Sequence[str]
    ) -> "RunTracker":
        param = import_mlflow().entities.Param
        run = self.client.create_run(self.experiment_id, tags=dict(tags), run_name=name)
        rows = [param(key, value if isinstance(value, str) else json.dumps(value)) for key, value in params.items()]
        for first in range(0, len(rows), PARAMS_PER_CALL):
            self.client.log_batch(run.info.run_id, params=rows[first : first + PARAMS_PER_CALL])
        return RunTracker(self.client, self.experiment_id, run.info.run_id, places)

    def _find_experiment(self, artifacts: Path | None) -> str:
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            location = artifacts.as_uri() if artifacts else None
            number = self.client.create_experiment(EXPERIMENT, artifact_location=location, tags=dict([KIND_TAG]))
            return str(number)
        if KIND_TAG[0] not in found.tags:
            self.client.set_experiment_tag(found.experiment_id, *KIND_TAG)
        return str(found.experiment_id)

    def _check_server(self, attempts: int) -> None:
        """Ask here, because MLflow's own client asks for minutes before it gives up, and says nothing meanwhile."""
        for attempt in range(attempts):
            if attempt:
                time.sleep(min(2.0 ** (attempt - 1), LONGEST_WAIT))
            error = mlflow_error(self.uri, timeout=15)
            if error is None:
                return
            if attempt == 0 and attempts > 1:
                logger.warning("MLflow at %s does not answer (%s); asking again", self.uri, error)
        raise RuntimeError(f"MLflow at {self.uri} does not answer ({error}); {self._remedy()}") from error

    def _remedy(self) -> str:
        if self.is_server:
            return "start the server, or set tracking_uri in the profile (null keeps runs inside the project)"
        return "move the file away or make it writable, or set tracking_uri in the profile"


class RunTracker:
    """Logs to one MLflow run. Metrics are sent in batches: at most every few seconds, and when the run ends."""

    def __init__(self, client: Any, experiment_id: str, run_id: str, places: Sequence[str] = ()) -> None:
        self.run_id = run_id
        self._places = places
        self.client = client
        self._experiment_id = experiment_id
        self._waiting: list[Any] = []
        self._flushed = time.monotonic()

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log numbers at a step."""
        metric = import_mlflow().entities.Metric
        now = int(time.time() * 1000)
        self._waiting += [metric(key, float(value), now, step) for key, value in values.items()]
        if len(self._waiting) >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the metrics that wait."""
        while self._waiting:
            self.client.log_batch(self.run_id, metrics=self._waiting[:1000])
            del self._waiting[:1000]
        self._flushed = time.monotonic()

    def image(self, path: Path, name: str) -> None:
        """Log an image file, which the UI shows under `name`."""
        with Image.open(path) as picture:
            self.client.log_image(self.run_id, picture, key=re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII), step=0)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file or folder."""
        self.client.log_artifact(self.run_id, str(path), folder or None)

    def dataset(self, path: Path, name: str, digest: str, context: str) -> None:
        """Log a sealed dataset folder; `digest` is its fingerprint (36 characters at most), `context` its use."""
        entities = import_mlflow().entities
        assert len(digest) <= DIGEST_CHARACTERS
        source = json.dumps({"uri": path.as_posix()})
        entry = entities.Dataset(name=name, digest=digest, source_type="local", source=source)
        self.client.log_inputs(
            self.run_id, [entities.DatasetInput(entry, [entities.InputTag("mlflow.data.context", context)])]
        )

    def model(self, path: Path, name: str, leave_out: Sequence[str] = ()) -> None:
        """Log a saved model folder as a model of the run, in MLflow's form, with the list of its files.

        The files themselves stay where DVC stores them, and are copied only where there is no such place.
        """
        weights = WeightList.of(path, self._places, leave_out)
        log_model(self.client, self._experiment_id, self.run_id, path, name, weights)

    def table(self, rows: Sequence[Mapping[str, object]], name: str) -> None:
        """Log a table as `name`.json, which the UI shows and compares between runs; a missing value stays empty."""
        columns = list(dict.fromkeys(column for row in rows for column in row))
        content = {column: [row.get(column) for row in rows] for column in columns}
        self.client.log_table(self.run_id, content, f"{name}.json")

    @contextmanager
    def part(self, name: str, tags: Mapping[str, str]) -> Iterator["RunTracker"]:
        """Open a run below this one; it ends as `TrackingStore.run` says."""
        run = self.client.create_run(self._experiment_id, tags={**tags, PARENT_TAG: self.run_id}, run_name=name)
        part = RunTracker(self.client, self._experiment_id, run.info.run_id, self._places)
        with part.ending():
            yield part

    @contextmanager
    def ending(self) -> Iterator[None]:
        """End the run with the context: FINISHED, FAILED, or KILLED after KeyboardInterrupt or SystemExit."""
        status: Status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit):
            status = "KILLED"
            raise
        finally:
            self.flush()
            _end(self.client, self.run_id, status)


class Untracked:
    """Records nothing, for commands that are no stage and so have no run."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Pass over numbers."""

    def image(self, path: Path, name: str) -> None:
        """Pass over an image file."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Pass over a file or folder."""

    def dataset(self, path: Path, name: str, digest: str, context: str) -> None:
        """Pass over a sealed folder that is read."""

    def model(self, path: Path, name: str, leave_out: Sequence[str] = ()) -> None:
        """Pass over a saved model."""

    def table(self, rows: Sequence[Mapping[str, object]], name: str) -> None:
        """Pass over a table."""

    @contextmanager
    def part(self, name: str, tags: Mapping[str, str]) -> Iterator["Untracked"]:  # noqa: ARG002 as RunTracker's
        """Open nothing."""
        yield self


def _end(client: Any, run_id: str, status: Status) -> None:
    if client.get_run(run_id).info.status == "RUNNING":
        client.set_terminated(run_id, status)


def local_uri(root: Path) -> str:
    """Return the address of the database inside the project, and make its folder."""
    folder = root.resolve() / "mlruns"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder}/mlflow.db"


def server_command(root: Path, python: str, port: int, uri: str) -> list[str]:
    """Return the command line of MLflow's UI over the database `uri`, on the loopback address."""
    store = ["--backend-store-uri", uri, "--artifacts-destination", str(root.resolve() / "mlruns" / "artifacts")]
    return [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *store]
