"""`python -m aif` is `aif`. With no __init__.py in this folder `aif` stays a namespace package."""

from aif.cli.main import main

main()
