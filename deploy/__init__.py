"""From an image to an Inference Endpoint that has passed the gate, and every night again.

What is asked of the service is in `specification.py`, the asking in `endpoints.py`. `rollout.py` creates or updates,
waits, gates and rolls back; `nightly.py` wakes, gates, looks at the trend and puts to sleep. The gate is another
process, so that whatever becomes of it, what must be done afterwards is done.
"""
