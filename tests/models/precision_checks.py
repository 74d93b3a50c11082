"""What attention is computed in, and how near bfloat16 comes to float32."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from models.losses.metrics import psnr

VIEWS_DB, LATENTS_DB = 50.0, 30.0
"""The tolerance that docs/model.md states: PSNR of views, and error of latents and embeddings below their spread."""


class AttentionQueries(TorchFunctionMode):
    """While it is open, keeps the dtype and the number of heads of every query of scaled_dot_product_attention."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.dtype, int]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function; look at its arguments if it is the one."""
        if func is scaled_dot_product_attention:
            self.seen.append((args[0].dtype, args[0].shape[1]))
        return func(*args, **(kwargs or {}))

    def dtypes(self, *, heads: int | None = None) -> set[torch.dtype]:
        """Return the dtypes of queries, of all or of those with so many heads; the VAE's attention has one."""
        return {dtype for dtype, found in self.seen if heads in (None, found)}


def alike(first_THW4: Any, second_THW4: Any) -> float:
    """Lowest PSNR in dB of views that are shown on white; arrays of bytes."""
    first, second = (torch.from_numpy(views).movedim(-1, 1) / 255 for views in (first_THW4, second_THW4))
    return psnr(on_white(first), on_white(second)).min().item()


def on_white(rgba_T4HW: Tensor) -> Tensor:
    """Straight-alpha views composited on white."""
    return rgba_T4HW[:, :3] * rgba_T4HW[:, 3:] + 1 - rgba_T4HW[:, 3:]


def below_spread(exact: Tensor, found: Tensor) -> float:
    """Standard deviation over the root mean square of the error, in dB."""
    return 20 * torch.log10(exact.std() / (found - exact).square().mean().sqrt()).item()
