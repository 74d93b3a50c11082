"""Which parameters decay and at what rate they learn; moments of 8 bits train like those of 32 in less room."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from models.training.checkpoints import Checkpoints, size_of
from models.training.distributed import Ranks
from models.training.history import as_csv
from models.training.interruption import Interrupted
from models.training.loop import TrainingResult
from models.training.optimizers import make_optimizer, parameter_groups, set_learning_rate
from tests.models.toy_models import toy_unet
from tests.models.toy_training import LOOP, OPTIMIZER, Line, run, weights

HAS_TORCHAO = find_spec("torchao") is not None
needs_torchao = pytest.mark.skipif(not HAS_TORCHAO, reason="pip install torchao==0.18.0")
WIDTH = 128
EIGHT = OPTIMIZER.model_copy(update={"state_bits": 8, "learning_rate": 5e-3})
FULL = EIGHT.model_copy(update={"state_bits": 32})
LONGER = LOOP.model_copy(update={"samples": 400})


def loss_of(trained: TrainingResult) -> float:
    return trained.history[-1]["train/loss"]


def moment_bytes(folder: Path) -> int:
    """Of the two moments of the widest layer in a checkpoint, scales and all."""
    state = Checkpoints(folder, "toy").load_newest()
    assert state is not None
    return size_of([state["optimizer"]["state"]["0.2.weight"][name] for name in ("exp_avg", "exp_avg_sq")])


@pytest.mark.slow
@needs_torchao
def test_eight_bit_moments_learn_as_well_in_a_quarter_of_the_room(tmp_path: Path) -> None:
    full = run(Line(width=WIDTH), tmp_path / "full", loop=LONGER, optimizer=FULL)
    small = run(Line(width=WIDTH), tmp_path / "small", loop=LONGER, optimizer=EIGHT)
    assert loss_of(full) < full.history[0]["train/loss"] / 50
    assert loss_of(small) < 2 * loss_of(full)
    assert moment_bytes(tmp_path / "full") == 2 * WIDTH * WIDTH * 4
    assert moment_bytes(tmp_path / "small") < 0.3 * moment_bytes(tmp_path / "full")


@pytest.mark.slow
@needs_torchao
def test_eight_bit_training_resumed_equals_an_undisturbed_one(tmp_path: Path) -> None:
    straight, resumed = Line(width=WIDTH), Line(width=WIDTH)
    whole = run(straight, tmp_path / "straight", optimizer=EIGHT)
    with pytest.raises(Interrupted):
        run(Line(width=WIDTH), tmp_path / "resumed", optimizer=EIGHT, stop_at=24)
    rest = run(resumed, tmp_path / "resumed", optimizer=EIGHT)
    assert weights(resumed.model) == weights(straight.model)
    assert as_csv(rest.history) == as_csv(whole.history)


def test_eight_bit_moments_of_several_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"state_bits is 8, which works with one process alone; set `trainers` to 1"):
        run(Line(), tmp_path, optimizer=EIGHT, ranks=Ranks(0, 2))


@pytest.mark.skipif(HAS_TORCHAO, reason="torchao is installed")
def test_eight_bit_moments_without_torchao_say_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"state_bits is 8, which needs torchao: pip install torchao==0\.18\.0"):
        run(Line(), tmp_path, optimizer=EIGHT)


def groups_of(**settings: Any) -> list[tuple[set[str], float, float]]:
    """Names, decay and rate of each parameter group of a toy network."""
    unet = toy_unet()
    names = {id(weight): name for name, weight in unet.named_parameters()}
    groups = parameter_groups(unet, OPTIMIZER.model_copy(update=settings))
    return [({names[id(one)] for one in group["params"]}, group["weight_decay"], group["rate"]) for group in groups]


def test_groups_by_default_are_one_that_decays() -> None:
    (one,) = groups_of()
    assert one == ({name for name, _ in toy_unet().named_parameters()}, OPTIMIZER.weight_decay, 1.0)


def test_groups_with_decayed_matrices_spare_norms_biases_embeddings_and_the_scale() -> None:
    decayed, spared = sorted(groups_of(decayed="matrices"), key=lambda group: -group[1])
    assert (decayed[1:], spared[1:]) == ((OPTIMIZER.weight_decay, 1.0), (0.0, 1.0))
    assert {"view_scale", "view_vectors.weight", "base.conv_norm_out.weight", "base.conv_in.bias"} <= spared[0]
    assert {"base.conv_in.weight", "view_mlp.linear_1.weight"} <= decayed[0]
    shapes = {name: weight.ndim for name, weight in toy_unet().named_parameters()}
    assert all(shapes[name] >= 2 for name in decayed[0])
    assert {name for name in spared[0] if shapes[name] >= 2} == {"view_vectors.weight"}
    assert decayed[0] | spared[0] == shapes.keys()


def test_view_scale_with_a_rate_of_its_own_learns_at_it_and_does_not_decay() -> None:
    scale, others = groups_of(view_scale_rate=30.0)
    assert scale == ({"view_scale"}, 0.0, 30.0)
    assert others[1:] == (OPTIMIZER.weight_decay, 1.0)
    optimizer = make_optimizer([toy_unet()], OPTIMIZER.model_copy(update={"view_scale_rate": 30.0}))
    set_learning_rate(optimizer, 1e-3)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(3e-2), 1e-3]


def test_parameters_without_gradients_are_in_no_group() -> None:
    unet = toy_unet()
    unet.base.conv_in.requires_grad_(requires_grad=False)
    found = sum(len(group["params"]) for group in parameter_groups(unet, OPTIMIZER))
    assert found == len(list(unet.parameters())) - 2
