"""`python -m bamgate`."""

from bamgate.cli.app import main

main()
