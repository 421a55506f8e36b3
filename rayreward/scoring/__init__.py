"""Offline scoring: a file of samples in, a file of outputs out, one line a line, in order."""

from __future__ import annotations

from rayreward.scoring.columns import Columns
from rayreward.scoring.data_file import DataFile
from rayreward.scoring.output_file import OutputFile
from rayreward.scoring.pipeline import Progress, score_file
from rayreward.scoring.tally import Summary, Tally

__all__ = ["Columns", "DataFile", "OutputFile", "Progress", "Summary", "Tally", "score_file"]
