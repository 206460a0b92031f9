"""
The keeper: the main process of a unit, which starts the serving processes and hands over from one to the next.

It decides who serves. It inherits systemd's sockets and passes them on, so a new process can serve beside the old one.
It reads no configuration, knows no protocol of visitors or agents, and uses the standard library only: it is small,
starts at once, and has little that can go wrong.

Begin with `handover`, the table of states; `messages` is what keeper and serving process say to each other. `loop` is
the process itself, and `child`, `notices` and `control` are its lines to serving processes, systemd and operators.

Several processes that serve at once would need one `Handover` each, which hand over one after the other: actions name
processes by number, and `children`, `child` and `messages` know nothing of how many serve. In `loop` the numbers would
come from one count, readiness and status would wait for all, and a reload would ask each. What one process alone may
have (the registry, the tunnels that agents dial) is the edge's to divide.
"""
