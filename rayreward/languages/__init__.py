"""Which language a text is written in.

What arrives: texts of any size. What leaves: their words by script, the prose among code and formulas, and whether a
text is in a wanted language. Everything is linear in the text, deterministic and offline; the detector's model is
loaded when it is first asked. Nothing here scores.
"""
