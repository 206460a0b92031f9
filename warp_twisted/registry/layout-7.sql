-- Layout 7: items warp/guarded/HOSTNAME keep what the guard of a split hostname has found. Releases that know layout 6 pass them
-- over, and refuse a policy with a guard. So user_version stays.

PRAGMA user_version = 1;
