"""Measurements; the first lines of each script show how to run it.

* ``step/``: how long a step takes, and what faster steps cost in quality
* ``memory/``: how much memory training takes, and what smaller moments cost
* ``robustness/``: how much losses depend on learning rate, batch size and spikes
* ``lab/``: how long sweeps take, and how far they scale

Figures go to ``results/``, with the command, versions, machine and date.
"""
