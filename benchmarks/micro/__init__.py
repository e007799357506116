"""What is done for every frame, event, clause or turn: how long each takes, as a multiple of the calibration loop."""
