from mct.bench.worker.warm_up import LEAST_REQUESTS, has_settled, warm_up


def test_settled_needs_two_windows_without_gain() -> None:
    assert not has_settled([9.0, 5.0, 4.0])  # too few windows to tell
    assert not has_settled([9.0, 5.0, 4.0, 3.0])  # still gaining
    assert not has_settled([9.0, 5.0, 4.0, 3.0, 3.0])  # the window before last still gained on 4
    assert has_settled([9.0, 5.0, 4.0, 3.0, 3.0, 2.95])  # under 3 % in two windows


def test_a_slow_window_is_noise_not_warm_up() -> None:
    assert has_settled([5.0, 3.0, 4.5, 3.1])


def test_ends_where_the_process_stops_getting_faster() -> None:
    """80 % slower at first, gone after 300 requests: the end is detected after that, and not much later."""
    made = 0

    def time_some(count: int) -> list[int]:
        nonlocal made
        made += count
        return [1_000_000 + max(0, 800_000 - 4_000 * (made - count + number)) for number in range(count)]

    found = warm_up(time_some)
    assert found.ended
    assert found.requests == made
    assert 200 <= made <= 500
    assert found.typical_ns == 1_000_000


def test_gives_up_at_the_cap_and_says_so() -> None:
    nanoseconds = 2_000_000_000

    def ever_faster(count: int) -> list[int]:
        nonlocal nanoseconds
        nanoseconds = nanoseconds * 9 // 10
        return [nanoseconds] * count

    found = warm_up(ever_faster, cap_s=40.0)
    assert not found.ended
    assert found.seconds >= 40.0
    assert found.requests == 3 * LEAST_REQUESTS  # 18 s, 16.2 s and 14.6 s
