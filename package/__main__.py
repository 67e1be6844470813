"""`python -m aif` is `aif`."""

from aif.cli.main import main

main()
