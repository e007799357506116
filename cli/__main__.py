"""`python -m cli`: the program `s2s`, by this Python; how our own processes start one another."""

from cli import main

main(prog_name="s2s")
