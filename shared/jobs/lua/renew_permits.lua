-- Renew the permits of one process on one connection; one that Redis lost is taken again, over the limit if
-- need be: the call that it stands for is being made.
--   KEYS[1]  permits;  ARGV[1]  TTL in microseconds;  ARGV[2..]  members
local time = redis.call('TIME')
local expiry = time[1] * 1000000 + time[2] + ARGV[1]
for i = 2, #ARGV do
    redis.call('ZADD', KEYS[1], expiry, ARGV[i])
end
return #ARGV - 1
