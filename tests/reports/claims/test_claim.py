"""The data of claims: complete, and each claim either has a check or says why it has none.

For the mirror: reports.claims.architecture is tested with the inventory, reports.claims.sources.adobe_2025 here.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from reports.claims.claim import Claim, Source, source_modules

NAMES = ["adobe_2025", "golden_2024", "model_dimensions", "model_parameters", "published_gpu", "zhan_2024"]


def test_sources_are_found_by_listing_their_folder() -> None:
    assert list(source_modules()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_has_a_check_and_a_command_or_neither(name: str) -> None:
    module = source_modules()[name]
    source: Source = module.SOURCE
    for key, claim in source.claims.items():
        check = getattr(module, key, None)
        assert (check is not None) == (claim.command is not None), key
        if check is None:
            assert claim.checked_by.startswith("nothing yet, since ")
        else:
            assert len(inspect.signature(check).parameters) == 1 + isinstance(claim.value, dict), key
        assert not claim.says.endswith(".")
    public = {key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")}
    own = {key for key in public if getattr(module, key).__module__ == module.__name__}
    assert own <= set(source.claims)


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_with_a_quantifier_names_the_models_that_it_is_over(name: str) -> None:
    known = {path.stem for path in Path("conf/workload").glob("*.yaml")}
    for key, claim in source_modules()[name].SOURCE.claims.items():
        if claim.relation in ("up_to", "over", "range"):
            assert claim.models, key
        assert set(claim.models) <= known, key


def test_every_published_figure_is_kept() -> None:
    golden: dict[str, Claim] = source_modules()["golden_2024"].SOURCE.claims
    assert golden["conv_share_diffusion_after_flash"].value == 0.44
    assert golden["flash_end_to_end_speedup"].seen == "recalled"
    zhan = source_modules()["zhan_2024"].SOURCE.claims
    assert len(zhan["table_1_peak"].cases) == len(zhan["table_1_latency"].cases) == 18
    assert zhan["table_1_peak"].cases["animatediff 576x1024 streamlined"] == 11.07
    assert len(zhan["table_2_msrvtt_fvd"].cases) == len(zhan["table_2_msrvtt_clip"].cases) == 6
