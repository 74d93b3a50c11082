"""Rates are read strictly, and each says where it comes from."""

from pathlib import Path

import pytest
import yaml

from infra.rates import RATES, load_rates


def test_every_rate_says_where_it_comes_from() -> None:
    for name, rate in load_rates().of_all().items():
        if rate.origin == "measured":
            assert any(place in rate.of for place in ("infra/LOG.md", "docs/")), name
        assert len(rate.of.split()) >= 3, name


def test_rates_with_a_mistake_name_the_key(tmp_path: Path) -> None:
    content = yaml.safe_load(RATES.read_text())
    content["object_mb"]["value"] = 0
    content["objekt_mb"] = content["object_mb"]
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=r"object_mb.value: Input should be greater than 0.*objekt_mb.*the keys are"):
        load_rates(path)
