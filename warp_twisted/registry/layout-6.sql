-- Layout 6: items warp/route-keys/NUMBER keep what the cookies of split hostnames are signed with, warp/shifts/HOSTNAME how a
-- split differs from the policy's for now. Releases that know layout 5 pass both over, and refuse a policy with a split. So
-- user_version stays.

PRAGMA user_version = 1;
