-- Take a permit of a connection, or a place in its line.
--   KEYS[1]  permits: sorted set, member -> expiry (microseconds)
--   KEYS[2]  line: sorted set, member -> arrival number
--   KEYS[3]  signs of life of the line: sorted set, member -> expiry
--   KEYS[4]  arrival counter
--   ARGV[1]  member <job>:<attempt>:<call>;  ARGV[2]  limit;  ARGV[3]  TTL in microseconds
-- The next permit goes to the waiting job that holds the fewest, then to the one that came first.
-- Returns 1 when the permit was taken, 0 when it was not its turn.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local me, limit, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
    redis.call('ZREM', KEYS[2], dead)
    redis.call('ZREM', KEYS[3], dead)
end
if redis.call('ZSCORE', KEYS[1], me) then
    redis.call('ZADD', KEYS[1], now + ttl, me)
    return 1
end
if not redis.call('ZSCORE', KEYS[2], me) then
    redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[4]), me)
end
redis.call('ZADD', KEYS[3], now + ttl, me)
local free = limit - redis.call('ZCARD', KEYS[1])
if free <= 0 then
    return 0
end
local held = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local job = string.match(member, '^([^:]*)')
    held[job] = (held[job] or 0) + 1
end
for _ = 1, free do
    local best, fewest
    for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
        local count = held[string.match(member, '^([^:]*)')] or 0
        if member ~= '' and (not fewest or count < fewest) and not held['taken ' .. member] then
            best, fewest = member, count
        end
    end
    if not best then
        return 0
    end
    if best == me then
        redis.call('ZREM', KEYS[2], me)
        redis.call('ZREM', KEYS[3], me)
        redis.call('ZADD', KEYS[1], now + ttl, me)
        return 1
    end
    -- Kept free for the one before; it looks again soon, or its sign of life runs out.
    held['taken ' .. best] = 1
    local job = string.match(best, '^([^:]*)')
    held[job] = (held[job] or 0) + 1
end
return 0
