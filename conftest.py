"""Brings the gate's options, markers and report to pytest, and lets the plugin's own tests start another pytest."""

pytest_plugins = ["harness.plugin", "pytester"]
