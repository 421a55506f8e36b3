"""Is this the same answer? Mathematics read from text and compared exactly, without Ray and without sympy."""
