-- Layout 3: hostnames have owners. Items warp/owners/HOSTNAME say which group of agents a hostname belongs to, and the
-- JSON of agents and join tokens names their group. Releases that know layout 2 pass the new items over, and drop an
-- agent's group when they write its record; edge.owners finds it again. So user_version stays.

PRAGMA user_version = 1;
