"""What Prefect's server does by itself about our runs: it notices dead ones, lets them go on, and tells of failed ones.

A run whose process has died sends no heartbeat and would stay Running for ever. It becomes Crashed, is scheduled again,
and whichever worker of the pool is there takes it; DVC then finds what is finished.
"""

from collections.abc import Sequence
from datetime import timedelta

from prefect.automations import AutomationCore, ChangeFlowRunState, EventTrigger, Posture, SendNotification
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

ENDS = ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut")
MISSED_HEARTBEATS = 3
"""So many may be missing before a run counts as dead."""
TOLD = ("Failed", "TimedOut", "Late")
"""States of a run that somebody should hear of. A crashed one goes on by itself, until it fails."""


def automations(pool: str, heartbeat: int, notify: str | None) -> list[AutomationCore]:
    """Return the automations of one work pool.

    Args:
        pool: Its name, which is a tag of its deployments too: a heartbeat names tags, but no pool.
        heartbeat: Seconds between two heartbeats of a run.
        notify: Id of a notification block; None: nobody is told.
    """
    ours = ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{pool}"})
    beat = "prefect.flow-run.heartbeat"

    def about(expect: Sequence[str], **more: object) -> EventTrigger:
        runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
        posture = Posture.Proactive if "after" in more else Posture.Reactive
        return EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in expect} | ({beat} if "after" in more else set()),
            match=runs,
            match_related=ours,
            posture=posture,
            threshold=1,
            for_each={"prefect.resource.id"},
            **more,
        )

    silence = MISSED_HEARTBEATS * heartbeat
    found = [
        AutomationCore(
            name=f"{pool}: a run without heartbeat has crashed",
            description=f"Its process has not been heard of for {silence} s: the machine or the worker is gone.",
            trigger=about(ENDS, after={beat}, within=timedelta(seconds=silence)),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message=f"no heartbeat for {silence} s")],
        ),
        AutomationCore(
            name=f"{pool}: a crashed run goes on",
            description="It is scheduled again and goes on where it was, on any worker of the pool.",
            trigger=about(["Crashed"]),
            actions=[ChangeFlowRunState(state=StateType.SCHEDULED, message="goes on after a crash")],
        ),
    ]
    if notify is not None:
        told = SendNotification(
            block_document_id=notify,
            subject="{{ flow.name }}: {{ flow_run.state.name }}",
            body="{{ flow.name }} ({{ flow_run.name }}) is {{ flow_run.state.name }}: {{ flow_run.state.message }}\n"
            "{{ flow_run|ui_url }}",
        )
        found.append(
            AutomationCore(
                name=f"{pool}: a failed or late run is told of",
                description="A run has failed, or no worker has taken it in time.",
                trigger=about(TOLD),
                actions=[told],
            )
        )
    return found


def register(client: SyncPrefectClient, pool: str, heartbeat: int, block: str | None) -> list[str]:
    """Bring the server's automations of a pool to what `automations` says; return their names.

    Args:
        client: Of the server.
        pool: Name of the work pool.
        heartbeat: Seconds between two heartbeats of a run.
        block: Notification block as "type/name", such as "slack-webhook/team"; None: nobody is told.

    Raises:
        ValueError: The server has no such block.
    """
    wanted = automations(pool, heartbeat, _block_id(client, block))
    for old in client.read_automations():
        if old.name.startswith(f"{pool}: "):
            client.delete_automation(old.id)
    for automation in wanted:
        client.create_automation(automation)
    return [automation.name for automation in wanted]


def _block_id(client: SyncPrefectClient, block: str | None) -> str | None:
    if block is None:
        return None
    kind, _, name = block.partition("/")
    try:
        return str(client.read_block_document_by_name(name, kind).id)
    except ObjectNotFound:
        raise ValueError(
            f"Prefect's server has no block {block!r}; make one in its UI (Blocks) or with `prefect block create`, and "
            "write its type and name, such as slack-webhook/team (`prefect block ls` lists them)"
        ) from None
