import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.domain.sketch import LARGEST, SMALLEST, Sketch

values = st.lists(
    st.one_of(st.just(0.0), st.floats(SMALLEST, LARGEST), st.floats(0.1, 5000)), min_size=1, max_size=200
)


def sketch_of(*numbers: float) -> Sketch:
    sketch = Sketch()
    for number in numbers:
        sketch.add(number)
    return sketch


@given(values, st.floats(0, 1))
def test_it_is_within_one_percent_of_the_exact_quantile(numbers, quantile):
    [found] = sketch_of(*numbers).quantiles(quantile)

    exact = sorted(numbers)[max(1, math.ceil(quantile * len(numbers) - 1e-9)) - 1]
    assert found is not None
    assert abs(found - exact) <= 0.01 * exact


@given(values, values)
def test_a_merge_equals_the_sketch_of_all_values(first, second):
    merged = sketch_of(*first)
    merged.merge(sketch_of(*second))

    assert merged.to_bytes() == sketch_of(*first, *second).to_bytes()


@given(values)
def test_it_comes_back_from_its_bytes(numbers):
    sketch = sketch_of(*numbers)

    again = Sketch.from_bytes(sketch.to_bytes())
    again.merge(Sketch())

    assert again.to_bytes() == sketch.to_bytes()
    assert again.count == len(numbers)


@given(values, values)
def test_freezing_changes_no_answer(first, second):
    plain, frozen = sketch_of(*first), sketch_of(*first)
    frozen.freeze()
    assert frozen.quantiles(0.5, 0.99) == plain.quantiles(0.5, 0.99)

    for number in second:
        plain.add(number)
        frozen.add(number)

    assert frozen.to_bytes() == plain.to_bytes()


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, -0.001, 1.1 * LARGEST])
def test_it_refuses_what_it_cannot_summarise(nonsense):
    with pytest.raises(ValueError, match="must be a number"):
        Sketch().add(nonsense)


def test_it_counts_less_than_a_nanosecond_as_zero():
    sketch = sketch_of(0.0, 1e-9, 5e-324, 10.0)

    assert sketch.quantiles(0.5) == [0.0]
    assert sketch.count == 4


def test_it_has_no_quantile_without_values():
    assert Sketch().quantiles(0.5, 0.99) == [None, None]


def test_it_counts_more_than_four_billion_values():
    sketch = Sketch()
    sketch.add(10.0, count=5_000_000_000)
    sketch.add(20.0)

    again = Sketch.from_bytes(sketch.to_bytes())

    assert again.count == 5_000_000_001


def test_a_sketch_of_a_busy_second_is_small():
    sketch = sketch_of(*(1.3**power for power in range(50)))

    assert len(sketch.to_bytes()) <= 12 + 50 * 3


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02" + bytes(11), sketch_of(1.0).to_bytes() + b"x"])
def test_it_refuses_bytes_that_are_no_sketch(data):
    with pytest.raises(ValueError, match="sketch"):
        Sketch.from_bytes(data)


@given(values, st.lists(st.floats(0.01, 100_000), min_size=1, max_size=12, unique=True).map(sorted))
def test_its_counts_up_to_a_bound_are_right_but_for_what_is_as_close_as_a_percent(numbers, bounds):
    counts = sketch_of(*numbers).counts_up_to(bounds)

    for bound, count in zip(bounds, counts, strict=True):
        surely = sum(number <= bound * 0.99 for number in numbers)
        possibly = sum(number <= bound * 1.01 for number in numbers)
        assert surely <= count <= possibly
