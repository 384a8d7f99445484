"""NVML's answers in SI units, and its errors as reasons, from a driver that is made up."""

from __future__ import annotations

import pytest
from fake_nvml import STATE, UUID, FakeNvml, install

from suite import nvml
from suite.environment import gpu_state
from suite.errors import UnavailableError


def test_a_gpu_tells_its_energy_in_joules_and_its_state_in_si_units(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml(millijoules=[1_234_567])
    install(monkeypatch, fake)
    with nvml.opened(UUID) as gpu:
        assert gpu.energy_j() == 1234.567
        assert gpu.state() == STATE, "a temperature that is not supported is left out"
    assert fake.num_open == 0


def test_memory_of_this_process_is_told_or_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    install(monkeypatch, fake)
    with nvml.opened(UUID) as gpu:
        assert gpu.process_bytes() == 7_000
        fake.process_bytes = None
        assert gpu.process_bytes() is None


def test_an_idle_gpu_is_not_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    fake.reasons = 0x1
    install(monkeypatch, fake)
    with nvml.opened(UUID) as gpu:
        assert gpu.state()["throttle_reasons"] == []


@pytest.mark.parametrize(
    ("fake", "uuid", "reason"),
    [
        (None, UUID, "nvidia-ml-py is not installed"),
        (FakeNvml(missing="NVML Shared Library Not Found"), UUID, "NVML Shared Library Not Found"),
        (FakeNvml(), "another", "Not Found"),
        (FakeNvml(millijoules=None), UUID, "Not Supported"),
    ],
    ids=["no library", "no driver", "unknown GPU", "no counter"],
)
def test_what_cannot_be_read_says_why(
    fake: FakeNvml | None, uuid: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, fake)
    with pytest.raises(UnavailableError, match=reason), nvml.opened(uuid) as gpu:
        gpu.energy_j()
    assert fake is None or fake.num_open == 0


def test_the_environment_holds_the_state_or_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeNvml())
    assert gpu_state(UUID) == STATE | {"driver": "580.1"}
    install(monkeypatch, FakeNvml(missing="Driver Not Loaded"))
    assert gpu_state(UUID) == {"nvml": "unavailable: Driver Not Loaded"}


def test_without_a_uuid_it_is_the_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeNvml())
    with nvml.opened(None) as gpu:
        assert gpu.handle == "GPU number 0"
