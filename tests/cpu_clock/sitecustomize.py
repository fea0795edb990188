"""On PYTHONPATH, this makes every process time itself by the CPU time it took: what else the machine does is left out.

For tests that really measure and compare: the clock is another one, everything else is as it is.
"""

import time

time.perf_counter_ns = time.process_time_ns
