"""Profiles: strict when read, resolved to what the machine has."""

from pathlib import Path
from typing import Any

import pytest

from infra import machine
from infra.profile import PROFILES, load_profile, resolve
from tests.project_copy import write_profile

SHIPPED = sorted(file.stem for file in PROFILES.glob("*.yaml"))


def changed(folder: Path, **values: object) -> str:
    """A copy of the default profile with some values changed."""
    return str(write_profile(folder / "mine.yaml", "laptop", **values))


def test_profiles_shipped_are_the_documented_ones() -> None:
    assert SHIPPED == ["ci", "cluster", "cluster_s3", "laptop", "services", "workstation"]


@pytest.mark.parametrize("name", SHIPPED)
def test_profile_shipped_loads_and_resolves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "workstation":
        monkeypatch.setattr("infra.profile.num_cuda_gpus", lambda: 1)
    resources = resolve(load_profile(name))
    assert resources.workers >= 1
    assert resources.threads >= 1
    assert resources.device in {"cpu", "cuda"}


def test_profile_misspelt_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mine\.yaml.*wrokers.*the keys are pool, workers"):
        load_profile(changed(tmp_path, wrokers=3))


def test_profile_impossible_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"workers.*greater than or equal to 1"):
        load_profile(changed(tmp_path, workers=0))


def test_profile_unknown_name_lists_the_known() -> None:
    with pytest.raises(
        ValueError, match=r"'lpatop' does not exist; known are ci, cluster, cluster_s3, laptop, services, workstation"
    ):
        load_profile("lpatop")


def test_profile_numbers_stand_as_they_are(tmp_path: Path) -> None:
    resources = resolve(load_profile(changed(tmp_path, workers=7, threads=3, device="cuda")))
    assert (resources.workers, resources.threads, resources.device) == (7, 3, "cuda")


def test_profile_auto_workers_fit_into_memory(tmp_path: Path) -> None:
    too_large = machine.available_memory_gb() * 2
    assert resolve(load_profile(changed(tmp_path, workers="auto", memory_limit_gb=too_large))).workers == 1


def test_profile_auto_workers_share_the_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.profile.num_cuda_gpus", lambda: 1)
    monkeypatch.setattr("infra.profile.available_cpus", lambda: 16)
    profile = load_profile(changed(tmp_path, workers="auto", worker_gpus=0.25, memory_limit_gb=0.01))
    assert resolve(profile).workers == 4


def test_profile_share_of_cards_that_are_absent_or_broken_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.profile.num_cuda_gpus", lambda: 0)
    with pytest.raises(ValueError, match=r"worker_gpus is 0.25 .* no CUDA card is seen here; write worker_gpus: 0"):
        resolve(load_profile(changed(tmp_path, workers="auto", worker_gpus=0.25)))
    with pytest.raises(ValueError, match=r"worker_gpus.*1.5 graphics cards; write a share of one, or a whole number"):
        load_profile(changed(tmp_path, worker_gpus=1.5))


def test_profile_compiling_a_network_that_is_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="compile and shard_weights exclude each other; switch one of them off"):
        load_profile(changed(tmp_path, compile=True, shard_weights=True))


@pytest.mark.parametrize(
    ("values", "compilers", "expected"),
    [
        ({"device": "cpu", "compile": "auto"}, {"gcc"}, False),
        ({"device": "cuda", "compile": "auto"}, {"gcc"}, True),
        ({"device": "cuda", "compile": "auto"}, {"clang"}, True),
        ({"device": "cuda", "compile": "auto"}, set(), False),
        ({"device": "cuda", "compile": "auto", "shard_weights": True}, {"gcc"}, False),
        ({"device": "cuda", "compile": False}, {"gcc"}, False),
        ({"device": "cpu", "compile": True}, set(), True),
    ],
)
def test_profile_compiles_by_itself_on_cards_with_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, object], compilers: set[str], expected: bool
) -> None:
    monkeypatch.setattr("infra.profile.which", lambda name: name if name in compilers else None)
    assert resolve(load_profile(changed(tmp_path, **values))).compile is expected


def test_profile_launcher_of_an_unknown_number_of_processes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trainers is auto; say how many processes the launcher starts, at least 2"):
        load_profile(changed(tmp_path, launcher=["torchrun"], trainers="auto"))


@pytest.mark.parametrize(
    ("device", "capability", "asked", "expected"),
    [
        ("cpu", None, "auto", "fp32"),
        ("cpu", (9, 0), "auto", "fp32"),
        ("cpu", None, "bf16", "bf16"),
        ("cuda", (9, 0), "auto", "bf16"),
        ("cuda", (8, 0), "auto", "bf16"),
        ("cuda", (7, 5), "auto", "fp32"),
        ("cuda", (9, 0), "fp32", "fp32"),
        ("cuda", (8, 6), "bf16", "bf16"),
    ],
)
def test_profile_inference_precision_is_what_the_device_has(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    capability: tuple[int, int] | None,
    asked: str,
    expected: str,
) -> None:
    monkeypatch.setattr("infra.profile.cuda_capability", lambda: capability)
    profile = load_profile(changed(tmp_path, device=device, inference_precision=asked))
    assert resolve(profile).precision == expected


def test_profile_bf16_on_a_card_without_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.profile.cuda_capability", lambda: (7, 5))
    with pytest.raises(
        ValueError,
        match=r"^inference_precision is bf16, but a CUDA card here has compute capability 7\.5 and bfloat16 needs 8\.0"
        r"; write inference_precision: fp32, or auto$",
    ):
        resolve(load_profile(changed(tmp_path, device="cuda", inference_precision="bf16")))


def test_profile_inference_precision_unknown_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"inference_precision: Input should be 'auto', 'fp32' or 'bf16'"):
        load_profile(changed(tmp_path, inference_precision="fp16"))


@pytest.mark.parametrize(
    ("values", "capability", "said"),
    [
        ({"device": "cpu", "attention_kernel": "fa3"}, None, "needs a CUDA card, and the device is cpu"),
        ({"device": "cuda", "attention_kernel": "flash"}, (7, 5), "a CUDA card here has 7.5"),
        ({"device": "cuda", "attention_kernel": "fa4"}, (9, 0), "flash_attn.cute is not installed"),
        (
            {"device": "cuda", "attention_kernel": "cudnn", "inference_precision": "fp32"},
            (9, 0),
            "computes in 16 bits, and inference_precision is fp32",
        ),
    ],
)
def test_profile_attention_kernel_that_does_not_serve_here_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, object],
    capability: tuple[int, int] | None,
    said: str,
) -> None:
    monkeypatch.setattr("infra.profile.cuda_capability", lambda: capability)
    with pytest.raises(ValueError, match=rf"^attention_kernel is \w+, .*{said}.*write .*attention_kernel: auto$"):
        resolve(load_profile(changed(tmp_path, **values)))


class Driver:
    """A CUDA driver with cards of these compute capabilities."""

    def __init__(self, *capabilities: tuple[int, int]) -> None:
        self.capabilities = capabilities

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802 # its name in cuda.h
        count._obj.value = len(self.capabilities)
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = ordinal + 10
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        value._obj.value = self.capabilities[device.value - 10][{75: 0, 76: 1}[attribute]]
        return 0


def test_cuda_capability_is_the_lowest_of_the_visible_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    for driver, expected in ((Driver((9, 0), (8, 6), (12, 0)), (8, 6)), (Driver(), None), (None, None)):
        monkeypatch.setattr("infra.machine.cuda_driver", lambda driver=driver: driver)
        assert machine.cuda_capability() == expected


def test_cpu_quota_is_the_smallest_on_the_way_to_the_own_group(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "max 100000")
    write(tmp_path / "pod/cpu.max", "250000 100000")
    write(tmp_path / "pod/box/cpu.max", "400000 100000")
    write(tmp_path / "listing", "0::/pod/box\n")
    groups = machine.own_cgroups(tmp_path / "listing", tmp_path)
    assert machine.cpu_quota(groups) == 2.5


def test_cpu_quota_of_version_one_is_read(tmp_path: Path) -> None:
    write(tmp_path / "cpu/box/cpu.cfs_quota_us", "150000")
    write(tmp_path / "cpu/box/cpu.cfs_period_us", "100000")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "-1")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000")
    write(tmp_path / "listing", "4:cpu,cpuacct:/box\n3:memory:/other\n")
    assert machine.cpu_quota(machine.own_cgroups(tmp_path / "listing", tmp_path)) == 1.5


def test_cpu_quota_unset_is_unlimited(tmp_path: Path) -> None:
    assert machine.cpu_quota(machine.own_cgroups(tmp_path / "none", tmp_path)) == float("inf")


def test_memory_limit_is_the_smallest_of_both_versions(tmp_path: Path) -> None:
    write(tmp_path / "memory.max", "max")
    write(tmp_path / "memory/memory.limit_in_bytes", "1073741824")
    assert machine.memory_limit(machine.own_cgroups(tmp_path / "none", tmp_path)) == 2**30


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"ray_address": None},
            "store_url is s3://b/p, but no work leaves this machine: name the cluster in ray_address",
        ),
        ({"ray_address": "auto", "pool": "serial"}, "no work leaves this machine"),
        (
            {"ray_address": "auto", "launcher": ["torchrun"], "trainers": 2},
            "launcher needs a disk that all machines see",
        ),
    ],
)
def test_profile_store_without_a_cluster_is_refused(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_profile(changed(tmp_path, store_url="s3://b/p", **changes))
