"""
The policy: who may ask what, how often, and proved by what; one decision for every application of the fleet.

Pure: no network, clock or log; instants are arguments. `sources` knows who asks, `bans` who is turned away at the door.
"""
