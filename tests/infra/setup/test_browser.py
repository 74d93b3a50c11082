"""Whether the browser of the tests can be installed."""

from infra.setup.browser import distribution, obstacle

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
UBUNTU = 'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nID_LIKE=debian\n'


def test_browser_is_installed_by_root_on_debian_alone() -> None:
    assert obstacle(distribution(DEBIAN), 0) is None
    assert "sudo apt-get install" in str(obstacle(distribution(DEBIAN), 1000))
    assert str(obstacle(distribution(UBUNTU), 0)).startswith("Ubuntu 24.04 is not Debian: install Chromium or Chrome")
    assert "this system is not Debian" in str(obstacle({}, 0))
