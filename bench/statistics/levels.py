"""The error that a verdict may make, stated once: every limit of a budget is passed wrongly in at most `ERROR` of runs.

One-sided: of a latency, half of it is spent by looks that may end the measuring early and half by the interval at the
end, either on both sides; of quality, all of it by the one test.
"""

ERROR = 0.05
CONFIDENCE = 1 - ERROR
"""Of the two-sided intervals that are printed."""
