"""Licences get one name each, and none gets that of a more generous one."""

import pytest

from tasks.artifacts.licences import licence_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("by", "CC-BY-4.0"),
        ("CC Attribution", "CC-BY-4.0"),
        ("CC Attribution-ShareAlike", "CC-BY-SA-4.0"),
        ("CC Attribution-NonCommercial-NoDerivs", "CC-BY-NC-ND-4.0"),
        ("Creative Commons - Attribution", "CC-BY-4.0"),
        ("Creative Commons - Attribution - Share Alike", "CC-BY-SA-4.0"),
        ("Creative Commons - Attribution - Non-Commercial - No Derivatives", "CC-BY-NC-ND-4.0"),
        ("Creative Commons Attribution Non Commercial Share Alike 4.0 International", "CC-BY-NC-SA-4.0"),
        ("CC0 Public Domain", "CC0-1.0"),
        ("MIT License", "MIT"),
        ("Apache License 2.0", "Apache-2.0"),
    ],
)
def test_licence_in_the_words_of_a_hub_has_its_spdx_name(text: str, name: str) -> None:
    assert licence_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "Creative Commons Attribution 3.0",
        "Creative Commons - Attribution - No AI",
        "Attribution, ask me first",
        "CC Sampling Plus",
        "GNU General Public License v3.0",
        "",
    ],
)
def test_licence_that_is_not_known_keeps_its_words(text: str) -> None:
    assert licence_name(text) == text
