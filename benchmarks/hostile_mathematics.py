"""Answers that hang, explode or confuse graders, by name."""

from __future__ import annotations


def _nested(opening: str, inside: str, closing: str, depth: int) -> str:
    return opening * depth + inside + closing * depth


def _determinant(size: int) -> str:
    rows = r"\\".join("&".join(f"a_{{{row}{column}}}" for column in range(size)) for row in range(size))
    return rf"\det\begin{{vmatrix}}{rows}\end{{vmatrix}}"


HOSTILE: dict[str, str] = {
    # Numbers that nobody writes out.
    "tower": "9^{9^{9^{9}}}", "tower of ten": "10^{10^{10}}", "power": "3^{9999999}", "factorial": "(10^9)!",
    "factorial twice": "((20)!)!", "large factorial": "99999999!", "binomial": r"\binom{10^9}{5\cdot10^8}",
    "tower of e": "e^{e^{e^{e^{e}}}}", "tower less itself": "9^{9^{9^9}}-9^{9^{9^9}}+5",
    "ratio of factorials": r"\frac{(10^8)!}{(10^8-1)!}", "tower mod 10": r"7^{7^{7^7}} \bmod 10",
    "gamma": r"\Gamma(10^8)", "gcd": r"\gcd(10^{1000}!, 7)", "tower of variables": "x^{x^{x^{x^{x}}}}",
    "tower of roots": r"\sqrt{2}^{\sqrt{2}^{\sqrt{2}^{\sqrt{2}^{99999999}}}}",
    "root of great degree": r"\sqrt[9999999]{5}",
    "logarithm of a tower": r"\log_{2}(2^{2^{2^{2^{2^{2}}}}})", "factorial of factorials": "5" + "!" * 500,
    "powers of ten": "1e999999", "more powers of ten": "1e9999999999", "near one to a tower": "(1+10^{-20})^{10^{20}}",
    # Length.
    "digits": "9" * 100_000, "decimals": "0." + "3" * 100_000, "repeating": r"0.\overline{" + "3" * 900 + "}",
    "sum": "+".join(["1"] * 5_000), "variables": "+".join(f"x_{{{n}}}" for n in range(130)), "commas": "," * 5_000,
    "set": r"\{" + ",".join(map(str, range(3_000))) + r"\}", "alternatives": " or ".join(["5"] * 300),
    "union": r"\cup".join(f"({n},{n + 1})" for n in range(200)), "equalities": "=".join(["5"] * 300),
    "spaces between": "1" + " " * 60_000 + "2", "spaces around": " " * 60_000 + "7" + " " * 60_000,
    "dollars": "$" * 60_000 + "1", "backslashes": "\\" * 900, "zero bytes": "\0" * 900, "surrogates": "\ud800" * 900,
    "superscripts": "²" * 900, "percent signs": "%" * 900, "large fraction": rf"\frac{{{'9' * 450}}}{{{'7' * 450}}}",
    "large root": rf"\sqrt{{{'9' * 450}}}", "semiprime root": rf"\sqrt{{{(2**61 - 1) * (2**31 - 1)}}}",
    # Depth.
    "fractions": _nested(r"\frac{1}{", "2", "}", 200), "brackets": _nested("(", "5", ")", 200),
    "roots": _nested(r"\sqrt{", "5", "}", 200), "braces": _nested("{", "5", "}", 200),
    "squares": _nested("2^{", "2", "}", 100), "powers side by side": "2" + "^2" * 400,
    "continued fraction": r"1+" + _nested(r"\cfrac{1}{1+", "2", "}", 60), "logarithms": _nested(r"\ln(", "5", ")", 200),
    "cosines": r"\cos" * 300 + "1", "bars": "|" * 500, "bars and letters": "|x" * 300, "open brackets": r"\left(" * 300,
    "absolute values": _nested(r"\left|", "5", r"\right|", 100), "texts": r"\text{" * 200, "boxes": r"\boxed{" * 100,
    "environments": r"\begin{" * 200, "minus signs": "-" * 901 + "5", "signs in a power": "2^{" + "-" * 900 + "5}",
    "indices": "5" + "_5" * 300, "roots without braces": r"\sqrt" * 300 + "2",
    "fractions without braces": r"\frac" * 300,
    # Algebra that grows.
    "power of a sum": "(x+y+z+w+1)^{40}", "two powers": "(1+x)^{64}(1+y)^{64}",
    "sum of ratios": r"\frac{(x+1)^{30}}{(y+1)^{30}}+\frac{(z+1)^{30}}{(w+1)^{30}}",
    "sum of roots": "+".join(rf"\sqrt{{{n}}}" for n in range(2, 119)),
    "product of roots": "".join(rf"(1+\sqrt{{{n}}})" for n in range(2, 40)), "binomials": r"\binom{100}{50}" * 60,
    "circle": "+".join(rf"\sin^2({n})+\cos^2({n})" for n in range(1, 30)), "determinant": _determinant(10),
    "small determinant": _determinant(4), "integral": r"\int_0^{\infty} e^{-x^{x^2}} dx",
    "long sum": r"\sum_{n=1}^{10^{12}} n", "long product": r"\prod_{n=1}^{10^9} n",
    "limit": r"\lim_{x\to0} \frac{\sin x}{x^{x^{x}}}", "another integral": r"\int_0^1 \frac{x^{x^x}}{\ln(1+x^x)} dx",
    "derivative": r"\frac{d^{50}}{dx^{50}} e^{x^{x}}", "equation": "x^{99}+x^{98}+1=0", "row": "1&" * 400 + "1",
    "mixed numbers": "1" + r"\frac{1}{2}" * 200, "inequalities": "<".join(["x"] * 300), "signs": r"\pm" * 300 + "5",
    "unions of nothing": r"\cup" * 400, "memberships": r"\in" * 300, "cases": r"\begin{cases}5\\6\end{cases}",
    # Confusion.
    "hedge": r"5\text{ or }12", "contradiction": "12 = 13", "division by zero": r"\frac{5}{0}", "zero to zero": "0^0",
    "half a fraction": r"\frac{1}{", "injection": "__import__('os').system('touch OWNED')",
    "another injection": r"\operatorname{exec}(5)", "format": "{0.__class__.__mro__}",
}  # fmt: skip
