from __future__ import annotations

from fractions import Fraction

import pytest

from rayreward.grading.sums import PI, Arithmetic, I, Ratio, TooLargeError, function, variable

X, Y = Ratio.of(variable("x")), Ratio.of(variable("y"))
DO = Arithmetic()


def root(number: int) -> Ratio:
    return DO.power(Ratio.of(number), Ratio.of(Fraction(1, 2)))


def test_roots_have_one_form() -> None:
    assert root(12) == DO.multiply(Ratio.of(2), root(3))
    assert DO.multiply(root(2), root(3)) == root(6)
    assert DO.divide(Ratio.of(1), root(2)) == DO.divide(root(2), Ratio.of(2))
    assert DO.multiply(root(2), root(2)).number == 2
    assert root(-4) == DO.multiply(Ratio.of(2), Ratio.of(I))


def test_i_squared_is_minus_one() -> None:
    assert DO.power(Ratio.of(I), Ratio.of(2)).number == -1
    assert DO.power(Ratio.of(I), Ratio.of(-1)) == DO.multiply(Ratio.of(-1), Ratio.of(I))


def test_equal_ratios_have_no_difference() -> None:
    above = DO.add(DO.power(X, Ratio.of(2)), Ratio.of(-1))
    below = DO.add(X, Ratio.of(-1))
    assert not DO.difference(DO.divide(above, below), DO.add(X, Ratio.of(1)))
    assert DO.difference(DO.divide(above, below), X)


def test_the_root_of_a_square_is_not_its_base() -> None:
    square = DO.power(X, Ratio.of(2))
    assert DO.power(square, Ratio.of(Fraction(1, 2))) != X
    assert DO.power(DO.power(X, Ratio.of(4)), Ratio.of(Fraction(1, 2))) == square


def test_what_cannot_be_worked_out_stays_a_function() -> None:
    [atom] = DO.power(Ratio.of(9), Ratio.of(9**99)).atoms
    assert (atom.kind, atom.name) == ("function", "power")


def test_a_power_with_a_whole_part_is_taken_apart() -> None:
    assert DO.power(Ratio.of(2), DO.add(X, Ratio.of(1))) == DO.multiply(Ratio.of(2), DO.power(Ratio.of(2), X))


def test_variables_are_found_inside_functions() -> None:
    assert function("sin", DO.add(X, Ratio.of(PI))).variables == {"x"}


def test_work_is_bounded() -> None:
    arithmetic = Arithmetic()

    def grow_without_end(value: Ratio) -> None:
        while True:
            value = arithmetic.multiply(arithmetic.add(value, Ratio.of(1)), DO.add(X, Y))

    with pytest.raises(TooLargeError):
        grow_without_end(Ratio.of(1))


@pytest.mark.parametrize("power", [0, -1])
def test_zero_has_no_such_power(power: int) -> None:
    with pytest.raises(ZeroDivisionError):
        DO.power(Ratio.of(0), Ratio.of(power))
