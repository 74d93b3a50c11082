"""Publishes a trained model or a data set of views as a hub lays them out: into a folder, or to a hub over HTTP.

A model's card has the scores of its report as `model-index`, which hubs and search engines read; a data set's folder
has its card, who made its objects, and Croissant metadata.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from huggingface_hub import EvalResult, HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined] # its HTTP client, exported at run time

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.manifest import MANIFEST, Kind, open_manifest
from tasks.commands.dataset_card import write_dataset_card
from tasks.commands.export_model import check_new, export_model
from tasks.commands.publish_options import PublishOptions
from tasks.report.hub_results import BESIDE_CARD
from tasks.training.model_card import CARD

HUB = "hub:"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
TASK = "image-to-3d"
RESULTS = """## Results

Of the evaluation stage, on `{benchmark}`; docs/evaluation.md of the project says what each protocol gives.

| task | value | |
| --- | --- | --- |
{rows}
"""


@dataclass(frozen=True)
class Account:
    """Where the hub is, and who publishes there."""

    endpoint: str
    token: str | None


def publish(options: PublishOptions, account: Account, say: Callable[[str], None]) -> str:
    """Publish `options.source`, and return where it is now.

    Raises:
        ValueError: The source is neither a model nor a view set, its scores or licences are missing, the place exists
            or has no form that is known, or the hub refuses.
        ConnectionError: The hub does not answer.
    """
    kind = kind_of(options.source)
    to_hub = options.place.startswith(HUB)
    repository = options.place.removeprefix(HUB)
    if to_hub and not REPOSITORY.fullmatch(repository):
        raise ValueError(f"{options.place} names no repository; write {HUB}OWNER/NAME")
    if to_hub and not account.token and not options.dry_run:
        raise ValueError("to publish at a hub, set HF_TOKEN to a token of your account that may write")
    if not to_hub:
        check_new(Path(options.place))
    with tempfile.TemporaryDirectory(dir=None if to_hub else _parent(Path(options.place))) as temporary:
        folder = Path(temporary) / "published"
        lay_out(options, kind, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in files)
        say(f"{len(files)} files, {size / 1e6:,.1f} MB: {', '.join(path.name for path in files[:6])}, ...")
        if options.dry_run:
            return f"{options.place} (nothing was published: --dry-run)"
        if not to_hub:
            folder.rename(options.place)
            return options.place
        return _upload(folder, repository, kind, account, is_private=options.private)


def kind_of(source: Path) -> Literal["model", "dataset"]:
    """Tell what a sealed folder is.

    Raises ValueError when it is neither a trained model nor a view set.
    """
    if not (source / MANIFEST).is_file():
        raise ValueError(f"{source} has no {MANIFEST}: name what a stage has finished, models_out/stage3 or data/views")
    try:
        open_manifest(source, Kind.VIEWS)
    except ValueError:
        open_manifest(source, Kind.DIFFUSION_MODEL)
        return "model"
    return "dataset"


def lay_out(options: PublishOptions, kind: Literal["model", "dataset"], folder: Path) -> None:
    """Write all that is published into the new folder."""
    if kind == "model":
        export_model(options.source, options.report, folder)
        add_results(folder, options.name)
        return
    write_dataset_card(options.source, options.objects, folder, options.name)
    shutil.copytree(options.source, folder, dirs_exist_ok=True)


def add_results(folder: Path, name: str) -> None:
    """Put the scores beside a model's card into the card: as `model-index`, and as a table.

    Args:
        folder: A model's folder, with `.eval_results`.
        name: The model's name.
    """
    entries: list[dict[str, Any]] = yaml.safe_load((folder / BESIDE_CARD).read_text())
    card = ModelCard.load(folder / CARD)
    card.data.model_name = name
    card.data.eval_results = [_result(entry) for entry in entries]
    rows = "\n".join(
        f"| {entry['dataset']['task_id']} | {entry['value']:g} | {entry.get('notes', '')} |" for entry in entries
    )
    benchmark = entries[0]["dataset"]["id"] if entries else ""
    card.text = card.text.rstrip() + "\n\n" + RESULTS.format(benchmark=benchmark, rows=rows)
    write_bytes(folder / CARD, f"---\n{card.data.to_yaml()}\n---\n\n{card.text.lstrip()}".encode())


def _result(entry: Mapping[str, Any]) -> EvalResult:
    task, benchmark = entry["dataset"]["task_id"], entry["dataset"]["id"]
    return EvalResult(
        task_type=TASK,
        dataset_type=benchmark,
        dataset_name=benchmark,
        dataset_config=task.rpartition("_")[0],
        metric_type=task.rpartition("_")[2],
        metric_name=task,
        metric_value=entry["value"],
    )


def _parent(place: Path) -> Path:
    """Return the folder that will hold `place`, so that what is laid out there becomes it by a rename."""
    place.absolute().parent.mkdir(parents=True, exist_ok=True)
    return place.absolute().parent


def _upload(folder: Path, repository: str, kind: str, account: Account, *, is_private: bool) -> str:
    api = HfApi(endpoint=account.endpoint, token=account.token)
    with _errors_explained(repository, account):
        api.create_repo(repository, repo_type=kind, private=is_private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=str(folder),
            repo_type=kind,
            commit_message=f"Publish {repository}",
        )
    return f"{account.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repository}/tree/{commit.oid}"


@contextmanager
def _errors_explained(repository: str, account: Account) -> Iterator[None]:
    """Raise ValueError for what the hub refuses, ConnectionError where it does not answer; neither holds the token."""
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = {
            401: "HF_TOKEN is not valid there",
            403: "the account of HF_TOKEN may not write there; use a token with write access, or another owner",
            404: "there is no such owner, or the account may not see it",
            429: "the hub is asked too much; run the same command later",
        }.get(status, "run the same command again later")
        raise ValueError(f"the hub refuses {repository} ({status}): {remedy}") from None
    except (httpx.HTTPError, RuntimeError, OSError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConnectionError(
            f"the hub at {account.endpoint} does not take {repository} ({said}); run the same command again: what has "
            "arrived is not sent twice"
        ) from None
