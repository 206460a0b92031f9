-- Layout 4: items warp/service-tokens/ID keep the service tokens of the policy, and the JSON of edges has their public keys.
-- Releases that know layout 3 pass both over. So user_version stays.

PRAGMA user_version = 1;
