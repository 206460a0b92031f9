"""To whom hostnames belong: real edges, agents as programs, and visitors."""
