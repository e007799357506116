"""What is thrown at every parser: `python -m fuzz`. What it found stays in `corpus/`, which the tests replay."""
