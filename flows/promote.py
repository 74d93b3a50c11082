"""The verb `promote`: registers a model and moves @champion to it when it was measured to be better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.models import SCHEMES, open_registry, resolve_model
from flows.pipeline import GSO_EVAL, TEST_VIEWS
from flows.promote_options import PromoteOptions
from infra.logged_models.weights import WeightList
from infra.machine import user_name
from infra.profile import PromotionGate, load_profile
from infra.registry import CHAMPION, Registry, Version
from infra.versioning import commit
from tasks.artifacts.cases import TestSet
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.artifacts.model_folder import RAW
from tasks.commands.promotion import TAG, Measured, Question, Verdict, judge, measure

Say = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """The model that may become the champion."""

    name: str
    """As the user has named it."""
    folder: Path
    weights: WeightList
    version: Version | None
    """Of the registered model, where it is one already."""


def promote(options: PromoteOptions, root: Path, profile_name: str, say: Say) -> bool:
    """Move @champion to a model when it is better; return whether it is the champion then.

    Args:
        options: What is asked.
        root: The checkout.
        profile_name: Name or file of the profile.
        say: Is told what became of it, in a sentence.

    Raises ValueError when the two models cannot be compared, or when the candidate was not measured, and RuntimeError
    when the tracking store does not answer: nothing is registered then. Raises RuntimeError when somebody else moved
    @champion meanwhile; it stays there.
    """
    if options.force is not None and not options.force.strip():
        raise ValueError("--force needs the reason, in words that somebody reads later")
    gate = _gate(options, load_profile(profile_name).promote or PromotionGate())
    registry = open_registry(root, profile_name)
    candidate = _candidate(registry, gate.name, options.model, resolve_model(options.model, root, profile_name))
    champion = registry.champion(gate.name)
    if champion is not None and candidate.version is not None and candidate.version.number == champion.number:
        say(f"{options.model} is {gate.name}@{CHAMPION} already: version {champion.number}")
        return True
    measured = _measured(options, candidate, gate, root)
    before = Measured.from_tags(champion.tags) if champion else None
    verdict = _verdict(options, measured, champion, before, gate)
    if options.dry_run or not verdict.is_better:
        word = "would be promoted" if verdict.is_better else "not promoted"
        say(f"{word}: {options.model} has {verdict.reason}{_now(gate.name, champion)}")
        return verdict.is_better
    tags = measured.as_tags() | _about(options, verdict, champion, before, gate, root)
    version = _register(registry, gate.name, candidate, tags, verdict.reason)
    if registry.champion(gate.name) != champion:
        raise RuntimeError(f"somebody else moved {gate.name}@{CHAMPION} meanwhile; give the command again")
    registry.set_champion(gate.name, version)
    if champion is not None:
        registry.tag(gate.name, champion, {f"{TAG}replaced_by": version.number})
    where = f"models:/{gate.name}@{CHAMPION} now, version {version.number}"
    say(f"promoted: {options.model} is {where}, with {verdict.reason}")
    return True


def _candidate(registry: Registry, name: str, model: Path, folder: Path) -> Candidate:
    open_manifest(folder, Kind.DIFFUSION_MODEL)
    weights = WeightList.of(folder, leave_out=[RAW])
    return Candidate(str(model), folder, weights, registry.version_with(name, weights))


def _register(registry: Registry, name: str, candidate: Candidate, tags: Mapping[str, str], reason: str) -> Version:
    weights, folder = candidate.weights, candidate.folder
    model_id = candidate.version.model_id if candidate.version else registry.logged(weights)
    if model_id is None:  # trained with another tracking store
        model_id = registry.log(folder, folder.name, weights, {"mlflow.user": user_name()})
    note = f"{reason}. Promoted from `{candidate.name}`."
    return registry.register(name, model_id, weights, folder, tags=tags, note=note)


def _gate(options: PromoteOptions, gate: PromotionGate) -> PromotionGate:
    asked = {name: getattr(options, name) for name in PromotionGate.model_fields}
    return gate.model_copy(update={name: value for name, value in asked.items() if value is not None})


def _measured(options: PromoteOptions, candidate: Candidate, gate: PromotionGate, root: Path) -> Measured:
    """Return what the report says of the candidate; of a version to go back to, what a report once said."""
    is_named_by_reference = candidate.name.startswith(SCHEMES)
    known = Measured.from_tags(candidate.version.tags) if candidate.version and is_named_by_reference else None
    if known is not None:
        return known
    question = Question(gate.metric, gate.protocol, gate.conditions, gate.group)
    test_sets: dict[TestSet, Path] = {"test_views": root / TEST_VIEWS, "gso_eval": root / GSO_EVAL}
    return measure(candidate.folder, root / options.report, test_sets, question)


def _verdict(
    options: PromoteOptions, candidate: Measured, champion: Version | None, before: Measured | None, gate: PromotionGate
) -> Verdict:
    """Judge the candidate; `before` is what was measured of the champion, None where nobody knows or there is none."""
    if options.force is not None:
        return Verdict(True, f"{candidate}; forced: {options.force}")
    if champion is not None and before is None:
        raise ValueError(
            f"{gate.name}@{CHAMPION}, version {champion.number}, has no tags {TAG}..., so nobody knows how good it is; "
            "give --force with a reason"
        )
    return judge(candidate, before, margin=gate.margin, threshold=gate.threshold)


def _about(
    options: PromoteOptions,
    verdict: Verdict,
    champion: Version | None,
    before: Measured | None,
    gate: PromotionGate,
    root: Path,
) -> dict[str, str]:
    return {
        f"{TAG}reason": verdict.reason,
        f"{TAG}forced": str(options.force is not None).lower(),
        f"{TAG}margin": f"{gate.margin:g}",
        f"{TAG}champion_before": champion.number if champion else "none",
        f"{TAG}champion_value": f"{before.value:.6g}" if before else "none",
        f"{TAG}by": user_name(),
        "git.commit": commit(root).revision,
    }


def _now(name: str, champion: Version | None) -> str:
    return f" (models:/{name}@{CHAMPION} is version {champion.number})" if champion else f" ({name} has no champion)"
