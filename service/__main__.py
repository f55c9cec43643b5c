"""`python -m service`: the same as the command `session-export`."""

from service.cli import main

main(prog_name="session-export")
