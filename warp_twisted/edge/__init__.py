"""
The edge: visitors in front, tunnels behind, and what is published about them.

`visitors` serves who comes from the internet, and `exchange` each of their requests; `routes` knows which tunnel serves
which hostname, `agents` admits agents and keeps their tunnels, `operators` shows and does what an operator asks. Must
not know how an agent reaches its origins. Begin at `node` (the order of starting and stopping), then `assembly` (which
part is handed to which).
"""
