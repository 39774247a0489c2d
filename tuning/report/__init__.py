"""The report of a sweep, for people: HTML, Markdown, CSV and JSON.

`report_files` reads and writes files, and `page` renders them. `answer_text` says what
to use, `verdict` puts the figures into words, `figures` draws, `tables` and `notes`
arrange. `plot` and the scripts in ``browser/`` make a page interactive. `comparison`
compares two sweeps. Nothing here computes a statistic.
"""

from tuning.report.comparison import write_comparison
from tuning.report.page import render_html, render_markdown
from tuning.report.report_files import write_report
from tuning.report.verdict import write_verdict

__all__ = [
    "render_html",
    "render_markdown",
    "write_comparison",
    "write_report",
    "write_verdict",
]
