"""Settings of all tests.

No test may depend on a time: hypothesis' deadlines and its check for slow data are
off. Under CI the examples are the same at each run; elsewhere they are new ones.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fasttree",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("fasttree")
