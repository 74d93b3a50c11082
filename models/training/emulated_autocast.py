"""Autocast to bfloat16 on the meta device, which torch.autocast does not serve: same casts, same results' types.

The op lists are those of torch 2.13: for CUDA the macros AT_FORALL_LOWER_PRECISION_FP, AT_FORALL_FP32,
AT_FORALL_FP32_SET_OPT_DTYPE and AT_FORALL_PROMOTE of ATen/autocast_mode.h, for CPUs the registrations in
ATen/autocast_mode.cpp, which torch's page on automatic mixed precision (docs.pytorch.org, amp.html) repeats. Of
each list those ops that networks and losses call. The public functions of torch are what is seen, not what they call
inside, so compositions stand here under their own names (`square`, `interpolate`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

Device = Literal["cuda", "cpu"]


@dataclass(frozen=True)
class CastLists:
    """What autocast does with the arguments of the functions of torch, by name."""

    lower: frozenset[str] = frozenset()
    """Cast to bfloat16."""
    upper: frozenset[str] = frozenset()
    """Cast to float32."""
    upper_output: frozenset[str] = frozenset()
    """Given float32 as the type of their result, unless the caller names one."""
    widest: frozenset[str] = frozenset()
    """Cast to the widest type among the arguments."""


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


_PRODUCTS = (
    "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution addbmm addmm baddbmm "
    "bmm einsum mm matmul rmatmul linalg_vecdot vecdot linear scaled_dot_product_attention"
)
_LOSSES = "l1_loss smooth_l1_loss huber_loss mse_loss cross_entropy binary_cross_entropy_with_logits kl_div"
LISTS: Mapping[Device, CastLists] = {
    "cuda": CastLists(
        lower=_names(_PRODUCTS, "addmv addr chain_matmul multi_dot mv prelu"),
        upper=_names(
            _LOSSES,
            "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow rpow square softplus",
            "layer_norm native_layer_norm rms_norm group_norm normalize renorm cosine_similarity cdist dist logsumexp",
            "interpolate",
        ),
        upper_output=_names(
            "prod softmax log_softmax cumprod cumsum linalg_vector_norm vector_norm matrix_norm norm sum"
        ),
        widest=_names("addcdiv addcmul atan2 bilinear cross dot vdot tensordot scatter_add"),
    ),
    "cpu": CastLists(
        lower=_names(_PRODUCTS, "tensordot"),
        upper=_names(_LOSSES, "avg_pool3d cdist prod quantile trace"),
        widest=_names("cat stack index_copy"),
    ),
}
"""By kind of device."""


class EmulatedAutocast(TorchFunctionMode):
    """Casts as `torch.autocast(device, torch.bfloat16)` does, whatever device the tensors are on.

    As there, a weight (a float32 leaf that requires a gradient) is cast once as long as the mode lives.

    Args:
        device: Whose op lists apply; None: nothing is cast, as by an autocast that is not enabled.
    """

    def __init__(self, device: Device | None) -> None:
        super().__init__()
        self._lists = CastLists() if device is None else LISTS[device]
        self._copies: dict[Tensor, Tensor] = {}

    @property
    def weight_copies(self) -> Sequence[Tensor]:
        """The weights in bfloat16 that were needed so far."""
        return list(self._copies.values())

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func` with the arguments that it gets under autocast."""
        name, keywords = func.__name__.strip("_"), dict(kwargs or {})
        floats = list(_floats((args, keywords)))
        if not floats:
            return func(*args, **keywords)
        if name in self._lists.upper_output:
            if keywords.get("dtype") is None:
                keywords["dtype"] = torch.float32
            return func(*args, **keywords)
        dtype = self._dtype(name, floats)
        if dtype is not None:
            args, keywords = tree_map_only(Tensor, lambda one: self._cast(one, dtype), (args, keywords))
        return func(*args, **keywords)

    def _dtype(self, name: str, floats: Sequence[Tensor]) -> torch.dtype | None:
        """What the arguments of a function are cast to; None: they stay."""
        if name in self._lists.lower:
            return torch.bfloat16
        if name in self._lists.upper:
            return torch.float32
        if name in self._lists.widest:
            return torch.float32 if any(one.dtype == torch.float32 for one in floats) else torch.bfloat16
        return None

    def _cast(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        if not _is_cast(tensor) or tensor.dtype == dtype:
            return tensor
        is_weight = tensor.is_leaf and tensor.requires_grad and tensor.dtype == torch.float32 and not tensor._is_view()
        if not is_weight or dtype != torch.bfloat16:
            return tensor.to(dtype)
        if tensor not in self._copies:
            self._copies[tensor] = tensor.to(dtype)
        return self._copies[tensor]


def _floats(arguments: Any) -> Iterator[Tensor]:
    return (one for one in tree_leaves(arguments) if isinstance(one, Tensor) and _is_cast(one))


def _is_cast(tensor: Tensor) -> bool:
    """Whether autocast looks at a tensor at all: it leaves whole numbers and float64 alone."""
    return tensor.is_floating_point() and tensor.dtype != torch.float64
