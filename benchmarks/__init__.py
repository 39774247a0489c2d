"""Measurements; each script says in its first lines how it is run.

* ``step/``: how long a step takes, and what is lost where it is made shorter
* ``memory/``: how much memory training takes, and what smaller moments cost
* ``robustness/``: how much losses depend on learning rate, batch size and spikes
* ``lab/``: how long sweeps take, and how far they scale

Figures go to ``results/``, with the command, versions, machine and date.
"""
