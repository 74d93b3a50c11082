"""Addresses of runs and their images on an MLflow server, asked by its REST interface.

MLflow's own client takes seconds to import, which whoever only wants to link to a run saves.
"""

import json
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode

TIMEOUT = 15.0
"""Seconds for an answer."""
IMAGES = "images"
"""Folder of a run's artifacts that takes what `RunTracker.image` logs."""
LINKED = (".png",)


@dataclass(frozen=True)
class MlflowPages:
    """The pages of a server."""

    uri: str
    """Its address."""

    def run(self, run_id: str) -> str | None:
        """Return the address of a run's page; None where the server does not answer or has no such run."""
        answer = self._ask("runs/get", run_id=run_id)
        if answer is None:
            return None
        experiment = answer["run"]["info"]["experiment_id"]
        return f"{self._base}/#/experiments/{experiment}/runs/{run_id}"

    def image(self, run_id: str) -> str | None:
        """Return the address of the first image of a run; None where the server does not answer, or there is none."""
        answer = self._ask("artifacts/list", run_id=run_id, path=IMAGES)
        paths = sorted(row["path"] for row in (answer or {}).get("files", []))
        found = next((path for path in paths if path.endswith(LINKED)), None)
        return f"{self._base}/get-artifact?path={quote(found)}&run_uuid={run_id}" if found else None

    @property
    def _base(self) -> str:
        return self.uri.rstrip("/")

    def _ask(self, what: str, **query: str) -> dict[str, Any] | None:
        address = f"{self._base}/api/2.0/mlflow/{what}?{urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310  http(s) only
                return dict(json.load(answer))
        except (OSError, HTTPException, ValueError):  # what is linked to is no reason to fail
            return None
