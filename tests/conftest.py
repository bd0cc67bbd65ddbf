"""What holds for all tests: Hypothesis does not judge by the clock, and says how to repeat what it found."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "taskmesh", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("taskmesh")
