"""A server whose behaviour is programmed: what the harness is held against, as a scale is against a weight.

It shares no code with what measures it: voice, sample clock and the framing of both protocols are its own.
"""
