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
MISSED_HEARTBEATS = 6
"""So many may be missing before a run counts as dead: with one a minute more than the four minutes for which requests
are repeated, and than the five within which a state that follows another is held back by a server that has restarted
and does not know the first (infra/decisions/0051-what-the-drill-found.md)."""
MAX_STARTS = 5
"""So often a run may begin; one that crashes after that stays Crashed. So does one that crashes before it has begun,
because its code could not be loaded the next time either."""
PENDING_SECONDS = 900
"""So long a run may be Pending, which a worker makes it before it starts its process; then the worker is gone."""
TOLD = ("Failed", "TimedOut", "Crashed", "Late")
"""States of a run that somebody should hear of."""


def automations(pool: str, heartbeat: int, notify: str | None) -> list[AutomationCore]:
    """Return the automations of one work pool.

    Args:
        pool: Its name, which is a tag of its deployments too: a heartbeat names tags, but no pool.
        heartbeat: Seconds between two heartbeats of a run.
        notify: Id of a notification block; None: nobody is told.
    """
    ours = ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{pool}"})
    beat = "prefect.flow-run.heartbeat"

    def upon(*states: str, **labels: list[str]) -> EventTrigger:
        """Fire when a run comes into one of the states."""
        return EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in states},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*", **labels}),
            match_related=ours,
            posture=Posture.Reactive,
            threshold=1,
            for_each={"prefect.resource.id"},
        )

    def silent(after: str, expect: Sequence[str], seconds: int) -> EventTrigger:
        """Fire when none of the events follows `after` in time."""
        return EventTrigger(
            after={after},
            expect=set(expect),
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ours,
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=seconds),
            for_each={"prefect.resource.id"},
        )

    ends = [f"prefect.flow-run.{state}" for state in ENDS]
    resumed = [str(starts) for starts in range(1, MAX_STARTS)]
    silence = MISSED_HEARTBEATS * heartbeat
    found = [
        AutomationCore(
            name=f"{pool}: a run without heartbeat has crashed",
            description=f"Its process has not been heard of for {silence} s: the machine or the worker is gone.",
            trigger=silent(beat, [beat, *ends], silence),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message=f"no heartbeat for {silence} s")],
        ),
        AutomationCore(
            name=f"{pool}: a run that no process takes up has crashed",
            description=f"It has been Pending for {PENDING_SECONDS} s, and would keep others waiting.",
            trigger=silent("prefect.flow-run.Pending", ["prefect.flow-run.Running", *ends], PENDING_SECONDS),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message="no process has taken it up")],
        ),
        AutomationCore(
            name=f"{pool}: a crashed run goes on",
            description=f"It is scheduled again, until it has begun {MAX_STARTS} times, on any worker of the pool.",
            trigger=upon("Crashed", **{"prefect.run-count": resumed}),
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
                description="A run has failed or crashed, or no worker has taken it in time.",
                trigger=upon(*TOLD),
                actions=[told],
            )
        )
    return found


def register(client: SyncPrefectClient, pool: str, heartbeat: int, block: str | None) -> list[str]:
    """Bring the server's automations of a pool to what `automations` says; return their names.

    One that says so already is left alone: a new one knows of no heartbeat that came before it, so that a run whose
    worker has died would never be missed. One that somebody has switched off stays off.

    Args:
        client: Of the server.
        pool: Name of the work pool.
        heartbeat: Seconds between two heartbeats of a run.
        block: Notification block as "type/name", such as "slack-webhook/team"; None: nobody is told.

    Raises:
        ValueError: The server has no such block.
    """
    wanted = automations(pool, heartbeat, _block_id(client, block))
    known = {old.name: old for old in client.read_automations() if old.name.startswith(f"{pool}: ")}
    for automation in wanted:
        old = known.pop(automation.name, None)
        if old is None:
            client.create_automation(automation)
        elif (old.description, old.trigger, old.actions) != (
            automation.description,
            automation.trigger,
            automation.actions,
        ):
            client.update_automation(old.id, automation.model_copy(update={"enabled": old.enabled}))
    for old in known.values():
        client.delete_automation(old.id)
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
