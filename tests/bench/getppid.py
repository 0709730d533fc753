"""300,000 system calls; prints the nanoseconds that they took."""

import os
import time

getppid = os.getppid
start = time.perf_counter_ns()
for _ in range(300_000):
    getppid()
print(time.perf_counter_ns() - start)
