"""What the automations of a work pool match; that they fire is tested in tests/e2e/test_prefect.py."""

from flows.automations import MAX_STARTS, automations


def test_crashed_run_goes_on_only_when_it_has_begun_and_not_too_often() -> None:
    found = {automation.name: automation.trigger for automation in automations("pool", 60, None)}
    match = found["pool: a crashed run goes on"].match
    for starts in range(MAX_STARTS + 2):
        resource = {"prefect.resource.id": "prefect.flow-run.1", "prefect.run-count": str(starts)}
        assert match.matches(resource) == (0 < starts < MAX_STARTS)
    assert not match.matches({"prefect.resource.id": "prefect.task-run.1", "prefect.run-count": "1"})


def test_run_counts_as_dead_after_three_heartbeats_and_only_runs_of_the_pool_do() -> None:
    [dead, *_] = automations("pool", 60, None)
    assert dead.trigger.within.total_seconds() == 180
    for trigger in (automation.trigger for automation in automations("pool", 60, None)):
        tag = {"prefect.resource.id": "prefect.tag.pool", "prefect.resource.role": "tag"}
        assert trigger.match_related.matches(tag)
        assert not trigger.match_related.matches(tag | {"prefect.resource.id": "prefect.tag.another"})
