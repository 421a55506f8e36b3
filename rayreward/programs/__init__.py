"""Programs of a policy, and how they are graded.

What arrives: a response and tests. What leaves: what became of each test. The tests stay on this side: a program is
sent the arguments of its calls or its standard input, and gives back plain values or text, which are judged here or in
a judge's process of ours (`rayreward.programs.judge`). Where programs run is an `Executor`: a sandbox on this machine,
or another's by HTTP. What a program does is a test's result; what we cannot do is a `GradingError`.
"""
