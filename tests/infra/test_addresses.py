import pytest

from infra.addresses import leads_here


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:4200/api", True),
        ("http://LocalHost/api", True),
        ("http://[::1]:5000", True),
        ("https://127.0.0.1.example.com", False),
        ("https://localhost@example.com/x", False),
        ("http://192.168.0.4:4200", False),
        ("", False),
    ],
)
def test_leads_here_is_true_of_the_loopback_address_alone(address: str, expected: bool) -> None:
    assert leads_here(address) is expected
