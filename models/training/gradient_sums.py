"""Sums gradients over the ranks while the backward pass of a step's last micro-batch still goes on.

A bucket of gradients is summed as soon as its last one is there, so that the network between the ranks works beside the
arithmetic. All ranks sum the same buckets in the same order, that of the backward pass, however many weights a rank
uses: what its graph does not reach is known before the pass begins.
"""

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from models.training.distributed import PendingSum, Ranks, buckets_of


class GradientSums:
    """The sums of one training's gradients, a step at a time: `begin` where it is known to be the last, and `finish`.

    Args:
        model: Weights that have a gradient after each step, zeros where a step does not use them.
        others: Weights that have one where a step uses them, such as a discriminator's; alike on all ranks.
        ranks: The processes whose gradients are added up; with one alone nothing is.
    """

    def __init__(self, model: Sequence[nn.Parameter], others: Sequence[nn.Parameter], ranks: Ranks) -> None:
        self._model, self._others, self._ranks = model, others, ranks
        self._buckets: list[list[nn.Parameter]] = []
        """Those of this step that are not begun, the next one last."""
        self._awaited: set[nn.Parameter] = set()
        """Weights whose gradient the backward pass has not completed."""
        self._hooks: list[RemovableHandle] = []
        self._has_begun = False
        self.pending: deque[PendingSum] = deque()
        """Sums that are begun, the oldest first."""

    def begin(self, loss: Tensor) -> None:
        """Sum what the backward pass of `loss`, the last one of this step, completes, as soon as it does."""
        if self._ranks.size == 1:
            return
        self._has_begun, self._awaited = True, leaves_of(loss)
        self._buckets = self._split()
        weights = [weight for bucket in self._buckets for weight in bucket if weight in self._awaited]
        self._hooks = [weight.register_post_accumulate_grad_hook(self._complete) for weight in weights]  # type: ignore[no-untyped-call]
        self._begin_completed()

    def finish(self) -> None:
        """Sum what is left and wait for all; every weight of the model then has a gradient."""
        if self._ranks.size > 1:
            for hook in self._hooks:
                hook.remove()
            self._awaited = set()
            if not self._has_begun:
                self._buckets = self._split()
            self._begin_completed()
            while self.pending:
                self.pending.popleft().finish()
            self._hooks, self._has_begun = [], False
        _fill(self._model)

    def _split(self) -> list[list[nn.Parameter]]:
        used = [weight for weight in self._others if weight.grad is not None or weight in self._awaited]
        return list(buckets_of([*self._model, *used]))

    def _complete(self, weight: Tensor) -> None:
        assert weight in self._awaited, "a gradient came after its sum had begun"
        self._awaited.remove(weight)  # type: ignore[arg-type]
        self._begin_completed()

    @torch.no_grad()
    def _begin_completed(self) -> None:
        """Begin the sums of the buckets that are complete, in order; take back what has arrived meanwhile."""
        while self._buckets and self._awaited.isdisjoint(self._buckets[-1]):
            bucket = self._buckets.pop()
            _fill(bucket)
            self.pending.append(self._ranks.begin_sum([weight.grad for weight in bucket if weight.grad is not None]))
        while self.pending and self.pending[0].is_done:
            self.pending.popleft().finish()


def leaves_of(loss: Tensor) -> set[nn.Parameter]:
    """Return the tensors that the backward pass of `loss` gives a gradient."""
    leaves, seen, todo = set(), {loss.grad_fn}, [loss.grad_fn]
    while todo:
        node = todo.pop()
        if node is None:
            continue
        if hasattr(node, "variable"):  # of AccumulateGrad
            leaves.add(node.variable)
        following = {step for step, _ in node.next_functions} - seen
        seen |= following
        todo += following
    return leaves


def _fill(weights: Sequence[nn.Parameter]) -> None:
    """Give weights that a step did not use (models.network.attention.attend_to_one) a gradient of zeros."""
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
