"""Setting up a machine and checking it. Standard library only until the packages are there."""
