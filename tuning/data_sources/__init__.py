"""Where the built-in workloads' data come from.

Two ways for every workload. *Embedded* data are made on the spot from what the
machine already holds: scikit-learn's digits, the language reference inside CPython,
a grammar, a speech synthesiser. They are the default, so everything runs offline.
*Real* data are public sets, one file each in a directory of the user's, downloaded
once into it if they are not there (`public_data`).
"""
