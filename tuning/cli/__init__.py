"""``keras-adam-sweep``: the command line.

`console` is the console script: it checks what is installed and catches signals, then
hands over to `app`, which holds the commands.
"""
