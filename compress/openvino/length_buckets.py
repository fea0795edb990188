"""Which input lengths to prepare for, where a runtime compiles per shape and pads each input to the next length.

Few lengths pad much; many cost memory, loading time and cache. The lengths are those that waste least on real texts.
"""

import math
from collections import Counter
from collections.abc import Sequence

from mct.compress.plan.passes import Resources

# Without texts to learn from.
DEFAULT = (16, 32, 64, 128)

# Every compiled length keeps weights of its own. Three copies of a small encoder still fit a processor's last cache;
# with more, the time saved on padding is lost on fetching weights (MiniLM INT8: of 2 to 20, three were the fastest).
MOST_BUCKETS = 3


def choose_buckets(lengths: Sequence[int], most: int) -> tuple[int, ...]:
    """At most `most` lengths, ascending, the last the longest seen, that pad `lengths` (tokens) the least in total.

    Exact: dynamic programming over the distinct lengths, O(distinct² · most).
    """
    counts = Counter(lengths)
    sizes = sorted(counts)
    below = [0]
    for size in sizes:
        below.append(below[-1] + counts[size])
    # cost[j]: least padded tokens of the first j sizes; ends[k][j]: where the k-th bucket's predecessor ends.
    cost = [0.0] + [math.inf] * len(sizes)
    ends: list[list[int]] = []
    for _ in range(min(most, len(sizes))):
        cost, end = _one_more(cost, sizes, below)
        ends.append(end)
    return _walk_back(ends, sizes)


def _one_more(cost: list[float], sizes: list[int], below: list[int]) -> tuple[list[float], list[int]]:
    """Allow one bucket more: the best last bucket for every prefix of the sizes."""
    better, ends = [0.0], [0]
    for j in range(1, len(sizes) + 1):
        options = [(cost[i] + (below[j] - below[i]) * sizes[j - 1], i) for i in range(j)]
        least, end = min(options)
        better.append(least)
        ends.append(end)
    return better, ends


def _walk_back(ends: list[list[int]], sizes: list[int]) -> tuple[int, ...]:
    buckets, j = list[int](), len(sizes)
    for end in reversed(ends):
        if j == 0:
            break
        buckets.append(sizes[j - 1])
        j = end[j]
    return tuple(reversed(buckets))


def buckets_for(resources: Resources) -> tuple[int, ...]:
    """The lengths to prepare for, from the calibration texts where there are any; none longer than the model takes."""
    longest = resources.checkpoint.max_tokens
    if resources.calibration is None:
        return tuple(bucket for bucket in DEFAULT if bucket < longest)
    from mct.compress.run.inputs import encode_requests

    inputs = encode_requests(resources.checkpoint, resources.calibration_requests())
    return choose_buckets([len(tokens.ids) for tokens in inputs], MOST_BUCKETS)
