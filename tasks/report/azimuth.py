"""What the tables say of azimuth in words: how many objects were drawn turned right, and how many by guessing."""

from collections.abc import Mapping

from tasks.artifacts.cases import Case
from tasks.evaluation.summary import num_objects
from tasks.report.words import case_title, is_stage


def azimuth_sentence(scores: Mapping[Case, Mapping[str, float]]) -> str:
    """Say it of the last training stage with the most given views.

    Args:
        scores: Means over one group of objects, of the cases of one protocol.

    Returns:
        Empty where no case has rings of views that could be turned.
    """
    known = [case for case, row in scores.items() if "azimuth_alike" in row]
    if not known:
        return ""
    case = max(known, key=lambda one: (is_stage(one.method), one.method, one.conditions))
    row = scores[case]
    tested = num_objects(row, "azimuth_alike")
    alike = round(row["azimuth_alike"] * tested)
    if alike == tested:
        return f"Azimuth: all {tested} objects look alike after every turn, so no drawing can be turned wrongly."
    front = tested - alike
    hits, guessed = (row[name] * front for name in ("azimuth_hit_rate", "azimuth_chance"))
    counted_apart = f" {alike} more look alike after every turn and are not counted." if alike else ""
    return (
        f"Azimuth: {case_title(case)}, draws {hits:.0f} of {front} objects turned right, where guessing would "
        f"{guessed:.1f}: of all turns of the ring, a right one fits the true views best.{counted_apart}"
    )
