"""What the automations of a work pool match; that they fire is tested in tests/e2e/test_prefect.py."""

from datetime import timedelta
from typing import Any

# Prefect is imported where it is used: it costs every session of tests a second and a half.

HELD_BACK = timedelta(minutes=5)
"""TIGHT_TIMING of prefect.server.models.events, which has it inside a function."""


def triggers() -> dict[str, Any]:
    """The triggers of a pool's automations, by name."""
    from flows.automations import automations

    return {automation.name: automation.trigger for automation in automations("pool", 60, None)}


def test_crashed_run_goes_on_only_when_it_has_begun_and_not_too_often() -> None:
    from prefect.events import Resource

    from flows.automations import MAX_STARTS

    match = triggers()["pool: a crashed run goes on"].match
    for starts in range(MAX_STARTS + 2):
        run = Resource({"prefect.resource.id": "prefect.flow-run.1", "prefect.run-count": str(starts)})
        assert match.matches(run) == (0 < starts < MAX_STARTS)
    assert not match.matches(Resource({"prefect.resource.id": "prefect.task-run.1", "prefect.run-count": "1"}))


def test_run_counts_as_dead_after_six_heartbeats_and_only_runs_of_the_pool_do() -> None:
    from prefect.events import Resource

    silence = triggers()["pool: a run without heartbeat has crashed"].within
    assert silence.total_seconds() == 360
    assert silence > HELD_BACK, "a server that has restarted would hold the crash back for a quarter of an hour"
    for trigger in triggers().values():
        for tag, is_ours in (("pool", True), ("another", False)):
            related = {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
            assert trigger.match_related.matches(Resource(related)) == is_ours
