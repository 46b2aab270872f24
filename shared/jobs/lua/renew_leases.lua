-- Renew the leases of one process, and look at the cancel flags on the way.
--   KEYS[1]  the leases;  KEYS[2]  the cancel flags: set of <job>:<attempt>
--   ARGV[1]  TTL in microseconds;  ARGV[2..]  members
-- Returns {members that were not found, members that are flagged}.
local time = redis.call('TIME')
local expiry = time[1] * 1000000 + time[2] + ARGV[1]
local missing, flagged = {}, {}
for i = 2, #ARGV do
    if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
        redis.call('ZADD', KEYS[1], 'XX', expiry, ARGV[i])
    else
        missing[#missing + 1] = ARGV[i]
    end
    if redis.call('SISMEMBER', KEYS[2], ARGV[i]) == 1 then
        flagged[#flagged + 1] = ARGV[i]
    end
end
return {missing, flagged}
