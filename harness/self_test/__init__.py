"""The instrument's own check: the harness against the reference server, what was programmed against what it says."""
