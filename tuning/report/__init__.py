"""The report of a sweep, for people: HTML, Markdown, CSV and JSON.

`page` reads, renders and writes; `verdict` says in words what follows from the figures,
`figures` draws, `tables` and `notes` arrange; `comparison` holds two sweeps
against each other. Nothing here calculates a statistic.
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
