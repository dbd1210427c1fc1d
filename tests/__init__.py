"""The tests, each process of one thread."""

import os

# Before anything loads torch, and for every program that a test starts: workers side by side that each have a thread
# for every core wait for one another more than they compute. The last bits of a figure depend on their number too.
for _name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_name, "1")
