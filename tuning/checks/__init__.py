"""A check: whether one learning rate and batch size are safe, with few runs.

`execution` trains the runs of a check and writes its card. Which runs these are is in
`tuning.search.check_search`, the figures are in `tuning.statistics.setting_card`, and
what people read is in `tuning.report.setting_card`.
"""
