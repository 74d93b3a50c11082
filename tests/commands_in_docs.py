"""Commands that README and docs show, and where each is run: by a test, or nowhere, for the reason given here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.doc_links import pages
from tests.project_copy import ROOT

FENCE = re.compile(r"^```(?:bash|sh|console)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
"""A block of commands; blocks of other languages say which."""
INLINE = re.compile(r"`((?:python -m flows|make|dvc|prefect|mlflow|hf) [^`]+)`")
STARTS = ("python -m flows", "make", "dvc", "prefect", "mlflow", "hf", "mvdiffusion-pp", "ray", "aws", "sky", "kubectl")
SHOWN = (ROOT / "README.md", ROOT / "docs")
RUN_BY: dict[str, str] = {
    "python -m flows aesthetic-scores": "tests/tasks/commands/aesthetic/test_scores.py",
    "python -m flows browse": "tests/tasks/commands/browse/test_app.py",
    "python -m flows check-set": "tests/tasks/commands/test_check_set.py",
    "python -m flows dataset-card": "tests/tasks/commands/test_dataset_card.py",
    "python -m flows doctor": "tests/infra/setup/test_doctor.py",
    "python -m flows export": "tests/tasks/commands/export/test_exports.py",
    "python -m flows export-model": "tests/tasks/test_evaluate.py",
    "python -m flows export-selection": "tests/tasks/commands/test_export_selection.py",
    "python -m flows graph": "tests/flows/test_graph.py",
    "python -m flows look": "tests/tasks/commands/test_look.py",
    "python -m flows page": "tests/flows/test_page.py",
    "python -m flows plan": "tests/flows/test_cost.py",
    "python -m flows promote": "tests/flows/test_promote.py",
    "python -m flows publish": "tests/tasks/commands/test_publish.py",
    "python -m flows push": "tests/infra/test_dvc_remote_lists.py",
    "python -m flows run": "tests/e2e/test_kills.py",
    "python -m flows sample": "tests/tasks/commands/test_photos.py",
    "python -m flows score": "tests/tasks/peers/test_scores.py",
    "python -m flows score-model": "tests/flows/test_score_model.py",
    "python -m flows serve": "tests/e2e/test_prefect.py",
    "python -m flows serve-model": "tests/e2e/test_serve_model.py",
    "python -m flows stage": "tests/e2e/test_pipeline.py",
    "python -m flows status": "tests/flows/test_status.py",
    "dvc repro": "tests/e2e/test_pipeline.py",
    "make licences": "tests/security/test_supply_chain.py",
    "make docs": "tests/site/test_site.py",
    "make wheel": "tests/infra/setup/test_wheel.py",
    "make study": "tests/bench/test_study.py",
}
"""The test that runs a command's code, by the beginning of the command."""
NOT_RUN: dict[str, str] = {
    "python -m flows tag-runs": "reads what a run of DVC has left; flows/run_records.py has tests",
    "python -m flows ui": "opens two servers until Ctrl-C; their commands are those that serve starts",
    "python -m flows results": "reads the report; flows/status.py has tests",
    "make": "the targets call commands that are tested one by one",
    "dvc": "DVC's own commands",
    "prefect": "Prefect's own commands",
    "mlflow": "MLflow's own commands",
    "hf": "the hub's own command, which needs an account",
    "ray": "Ray's own commands, on machines of a cluster",
    "aws": "Amazon's own commands",
    "sky": "SkyPilot's own commands",
    "kubectl": "Kubernetes' own commands",
}
"""Why nothing runs a command, by its beginning; a longer beginning goes first."""


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it."""

    page: Path
    text: str

    @property
    def beginning(self) -> str:
        """The longest of the known beginnings; empty: nobody has said who runs it."""
        known = [start for start in (*RUN_BY, *NOT_RUN) if f"{self.text} ".startswith(f"{start} ")]
        return max(known, key=len, default="")


def commands() -> Iterator[Shown]:
    """Every command in README and docs: lines of blocks without another language, and those within the text."""
    for page in pages():
        if page not in SHOWN and SHOWN[1] not in page.parents:
            continue
        text = page.read_text()
        for block in FENCE.findall(text):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                words = re.sub(r"^(?:[A-Z_]+=\S+ )+|\s+#.*$", "", line.strip())
                if words.startswith(STARTS):
                    yield Shown(page, words)
        for found in INLINE.findall(FENCE.sub("", text)):
            yield Shown(page, " ".join(found.split()))
