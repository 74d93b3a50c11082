"""The folder of a peer, data/peers/NAME: sealed views and meshes like those of our own samples.

`views` holds a view set per case, `meshes` a PLY per case and object. Importing a case replaces that case alone; a
model that was sampled here replaces its whole folder.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from models.reconstruction.mesh import write_ply
from render.config import Section
from render.passes import View
from tasks.artifacts.atomic import atomic_file, atomic_folder, hard_link
from tasks.artifacts.cases import MESHES, OWN, VIEWS, Case, TestSet, sampled_cases
from tasks.artifacts.manifest import MANIFEST, Kind, open_manifest, read_ledger, seal
from tasks.artifacts.resume import ItemStore
from tasks.artifacts.shards import OBJECTS_PER_SHARD
from tasks.artifacts.views import seal_views, write_views
from tasks.outcome import Done, Json, Outcome
from tasks.peers.import_object import Imported

PANORAMA = "panorama.json"
TRUTH = "truth"
"""Name of the test set among the inputs of an imported case's manifest; where it was sampled here, its own name."""


class PeerConfig(Section):
    """What an imported case was made with."""

    layout: str
    mesh_layout: str | None
    sample: int
    """Which of several samples of an object."""


def store_case(
    folder: Path, case: Case, objects: Mapping[str, Imported], groups: Mapping[str, str], config: PeerConfig, truth: str
) -> None:
    """Write a case into a peer's folder, whole or not at all; other cases that are in it stay.

    Args:
        folder: The peer's, such as data/peers/eschernet.
        case: Its name names the folders in `views` and `meshes`.
        objects: Predictions by uid.
        groups: Group of each object in the test set, by uid.
        config: What the case was made with.
        truth: Fingerprint of the test set.

    Raises ValueError when the folder is there and was not written by this function.
    """
    inputs = {TRUTH: truth}
    with _replaced(folder, case) as (part, cases, meshes):
        _write_views(part / VIEWS / case.name, objects, groups, config, inputs)
        for uid, one in objects.items():
            if one.mesh is not None:
                with atomic_file(part / MESHES / case.name / f"{uid}.ply") as path:
                    write_ply(one.mesh, path)
                sizes: dict[str, Json] = {"vertices": len(one.mesh.vertices), "faces": len(one.mesh.faces)}
                meshes.append(Done(f"{case.name}/{uid}", sizes))
        facts = {"cases": [row.as_json() for row in [*cases, case]]}
        seal(part / VIEWS, Kind.SAMPLES, config=config, inputs=inputs, facts=facts)
        seal(part / MESHES, Kind.MESHES, config=config, inputs=inputs, outcomes=meshes)


def current_peers(peers: Path, truths: Mapping[TestSet, str], note: Callable[[str], None]) -> list[Path]:
    """Return the folders of the peers whose cases were imported for the test sets as they are now, sorted by name.

    Args:
        peers: The folder of all peers, which may be absent.
        truths: Fingerprint of each test set.
        note: Is told which peers are left out, and why: their views may stand where the test set has none any more.

    A folder that a killed import had moved away is put back first.
    """
    current = []
    for left in peers.glob(".*.old"):
        put_back(left.with_name(left.name.removeprefix(".").removesuffix(".old")))
    for folder in sorted(path.parent.parent for path in peers.glob(f"[!.]*/{VIEWS}/{MANIFEST}")):
        cases = sampled_cases(folder / VIEWS)
        made_for = {case: _test_set_of(folder, case) for case in cases}
        stale = [case.name for case in cases if made_for[case] != truths.get(case.test_set)]
        if stale:
            note(
                f"{folder} is left out: {stale[0]} was made for another test set; run `python -m flows score`, or "
                "`score-model`, again"
            )
        else:
            current.append(folder)
    return current


@contextmanager
def replaced_peer(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes a peer's place when the block ends without an error.

    Raises ValueError when the folder is there and was not written by this module.
    """
    put_back(folder)
    if folder.exists():
        open_manifest(folder / VIEWS, Kind.SAMPLES)
    try:
        with atomic_folder(folder) as part:
            yield part
            if folder.exists():
                folder.rename(_old(folder))
    finally:
        put_back(folder)


def put_back(folder: Path) -> None:
    """Put a peer's folder back that a killed import had moved away; what else such an import has left is removed."""
    if not folder.exists() and _old(folder).exists():
        _old(folder).rename(folder)
    shutil.rmtree(_old(folder), ignore_errors=True)


def _test_set_of(folder: Path, case: Case) -> str | None:
    """Return the fingerprint of the test set that a case of a peer was made for."""
    inputs = open_manifest(folder / VIEWS / case.name, Kind.VIEWS).inputs
    return inputs.get(TRUTH, inputs.get(case.test_set))


def _old(folder: Path) -> Path:
    """Where a peer's folder lies while the new one takes its place."""
    return folder.with_name(f".{folder.name}.old")


def _write_views(
    out: Path,
    objects: Mapping[str, Imported],
    groups: Mapping[str, str],
    config: PeerConfig,
    inputs: Mapping[str, str],
) -> None:
    store = ItemStore(out.parent / f".{out.name}.items")
    shown = {uid: one for uid, one in objects.items() if one.cameras}
    for uid, one in shown.items():
        write_views(store.path(uid), one.cameras, [View(image) for image in one.images], {"case": out.name})
    seal_views(store.readers({uid: uid for uid in shown}), store.lay_out(shown, OBJECTS_PER_SHARD), out)
    shutil.rmtree(store.folder, ignore_errors=True)
    outcomes: list[Outcome] = [Done(uid, _facts(one, groups[uid])) for uid, one in objects.items()]
    seal(out, Kind.VIEWS, config=config, inputs=inputs, outcomes=outcomes)


def _facts(one: Imported, group: str) -> dict[str, Json]:
    own: dict[str, Json] = dict(one.own)
    notes: list[Json] = list(dict.fromkeys(one.notes))
    facts: dict[str, Json] = {"group": group, "views": len(one.cameras), "notes": notes}
    return facts | {OWN: own} if own else facts


@contextmanager
def _replaced(folder: Path, case: Case) -> Iterator[tuple[Path, list[Case], list[Outcome]]]:
    """Yield a copy of the folder without `case`, its other cases and their meshes; it takes the folder's place."""
    with replaced_peer(folder) as part:
        cases: list[Case] = []
        meshes: list[Outcome] = []
        if folder.exists():
            cases = [row for row in sampled_cases(folder / VIEWS) if row != case]
            kept = {row.name for row in cases}
            meshes = [row for row in read_ledger(folder / MESHES) if row.uid.partition("/")[0] in kept]
        for kind in (VIEWS, MESHES):
            (part / kind).mkdir()
            for row in cases:
                for path in filter(Path.is_file, (folder / kind / row.name).rglob("*")):
                    hard_link(path, part / path.relative_to(folder))
        yield part, cases, meshes
