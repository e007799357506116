"""Carries out the steps of a Dockerfile in a clean Debian root, where there is no Docker: debootstrap, overlay, chroot.

    python -m scripts.clean_root --help

It reads the Dockerfile itself, so that what is proven is the file and not a copy of it. It is no Docker: an instruction
that it does not know is an error, and the image `python:X.Y.Z-slim-SUITE` is Debian's own Python of that suite, which
must be the same X.Y.
"""
