"""One run through math-verify, at import: what it builds at its first use is then there in every process forked later.

Its grammar's tables take half a second of CPU to unpack, and sympy fills its caches; a worker that had to do so itself
would be late for its first answer.
"""

from __future__ import annotations

from rayreward.grading.verify import verify

_USUAL = (
    (r"\frac{1}{2}", "0.5"),
    (r"1+\sqrt{2}", r"\sqrt{3+2\sqrt{2}}"),
    (r"\{1, 2\}", "2, 1"),
    (r"x^2 + 1 = 0", r"2x^2 + 2 = 0"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ \frac{4}{2} \end{pmatrix}"),
    (r"(-\infty, 3]", r"x \le 3"),
    ("1", r"\sin^2 x + \cos^2 x"),
)

for pair in _USUAL:
    verify(pair)
