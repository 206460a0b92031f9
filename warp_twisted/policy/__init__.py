"""
The policy: who may ask what, how often, and proved by what; one decision for every application of the fleet.

Pure: no network, clock or log; instants are arguments. What takes long (a password's hash, a key set that is fetched)
it names as a question, and its caller answers.

Begin at `facts`, `interfaces` and `verdict`, the words of all wings. `document` reads the YAML; `paths` compares paths
and says which can be read in two ways; `judging` compiles a document into one program per hostname, which judges;
`authentication` checks credentials, `sources` knows who asks, `bans` who is turned away at the door.
"""
