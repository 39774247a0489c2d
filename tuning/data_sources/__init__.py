"""The sources of the built-in workloads' data, two for every workload.

*Embedded* data are made on the spot from what is already on the machine:
scikit-learn's digits, the language reference inside CPython, a grammar, a speech
synthesiser. They are the default, so everything runs offline. *Real* data are public
data sets, one file each in the user's directory; missing files are downloaded once
(`public_data`).
"""
