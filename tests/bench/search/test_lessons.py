"""Every pupil gets the same time, whatever an epoch takes it."""

from mct.bench.search.lessons import FIRST_EPOCHS, LEAST_EPOCHS, MOST_EPOCHS, Pupil, in_order, next_lesson
from mct.bench.search.space import Candidate, Shape
from mct.compress.plan.recipe import Recipe


def pupil(name: str, epoch_s: float = 0.0, *epochs: float) -> Pupil:
    return Pupil(Candidate(Shape(name, (), True), "onnx-int8", Recipe(())), epochs, epoch_s)


def test_the_first_lesson_is_the_same_for_all() -> None:
    assert next_lesson([pupil("a"), pupil("b")], 100.0, 2) == {
        "a, onnx-int8": FIRST_EPOCHS,
        "b, onnx-int8": FIRST_EPOCHS,
    }


def test_then_all_get_as_much_time_and_half_of_what_is_left_together() -> None:
    pupils = [pupil("slow", 100.0, 1.0), pupil("quick", 10.0, 1.0)]
    found = next_lesson(pupils, 800.0, workers=2)
    assert found == {"slow, onnx-int8": 4.0, "quick, onnx-int8": 40.0}
    seconds = sum(found[each.candidate.name] * each.epoch_s for each in pupils)
    assert seconds <= 0.5 * 800 * 2


def test_the_last_lesson_takes_all_that_is_left() -> None:
    pupils = [pupil("a", 10.0, 1.0)]
    assert next_lesson(pupils, 300.0, 1, asking_s=100.0) == {"a, onnx-int8": 20.0}, "another would begin with asking"
    assert next_lesson(pupils, 1100.0, 1, asking_s=100.0) == {"a, onnx-int8": 40.0}
    assert next_lesson(pupils, 100.0, 1, asking_s=100.0) == {}


def test_who_has_no_time_for_any_of_it_is_left_out_and_nobody_learns_for_ever() -> None:
    found = next_lesson([pupil("slow", 1000.0, 1.0), pupil("quick", 0.1, 1.0)], 100.0, workers=1)
    assert found == {"quick, onnx-int8": MOST_EPOCHS}
    assert next_lesson([pupil("slow", 1000.0, 1.0)], 100.0, workers=1) == {}
    assert next_lesson([pupil("a")], 0.0, workers=1) == {} and next_lesson([], 100.0, workers=1) == {}


def test_an_epoch_s_seconds_are_those_of_the_last_lesson_that_was_timed() -> None:
    after = pupil("a").after(1.0, 30.0).after(4.0, 100.0)
    assert after.epochs == (1.0, 4.0) and after.epoch_s == 25.0
    assert after.after(2.0, 0.0).epoch_s == 25.0, "found finished: nothing is known of its time"
    assert after.options(LEAST_EPOCHS) == [{"epochs": each, "threads": 1} for each in (1.0, 4.0, LEAST_EPOCHS)]


def test_the_quickest_goes_first_and_then_the_slowest() -> None:
    pupils = [pupil("b"), pupil("c"), pupil("a")]
    first, others = in_order(pupils, {"a, onnx-int8": 1.0, "b, onnx-int8": 2.0, "c, onnx-int8": 3.0})
    assert [each.candidate.shape.name for each in (*first, *others)] == ["a", "c", "b"]
