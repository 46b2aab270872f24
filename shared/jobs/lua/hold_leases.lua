-- Put leases: each lives TTL from now, by Redis's own clock.
--   KEYS[1]  the leases: sorted set, member <job>:<attempt>, score the time of expiry (microseconds)
--   ARGV[1]  TTL in microseconds;  ARGV[2..]  members
local time = redis.call('TIME')
local expiry = time[1] * 1000000 + time[2] + ARGV[1]
for i = 2, #ARGV do
    redis.call('ZADD', KEYS[1], expiry, ARGV[i])
end
return #ARGV - 1
