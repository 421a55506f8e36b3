"""What runs on the far side: in the zygote and in the processes that it forks.

These modules are sent to an interpreter without site-packages (``python -I -S``), as text: rayreward is not
installed there. So they import the standard library and one another, and nothing else.
"""
