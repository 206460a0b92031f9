-- Layout 5: items warp/policy/current, warp/policy-versions/NUMBER and warp-policy/NUMBER/PART keep the fleet's policy and its
-- versions. Releases that know layout 4 would serve without it: the first policy raises user_version to 5, as
-- registry/layouts.py says. A file without one is still theirs, so user_version stays here.

PRAGMA user_version = 1;
