-- Append the entries of one job's trip and publish them, or refuse them all.
--   KEYS[1]  the job's stream
--   ARGV[1]  the job's channel
--   ARGV[2]  attempt;  ARGV[3]  sequence number of the first entry
--   ARGV[4]  '1' when the first entry may create the stream or follow another attempt's
--   ARGV[5]  seconds after which a stream that nobody ends expires
--   ARGV[6..]  type and data of each entry
-- Returns 1, or the stream's last id ('' when there is no stream).
-- Published: for each entry the lines <id>, <type>, <data>; data is JSON and so holds no line break.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local last_id = ''
local last_attempt, last_seq = -1, -1
if last[1] then
    last_id = last[1][1]
    local attempt, seq = string.match(last_id, '^(%d+)-(%d+)$')
    last_attempt, last_seq = tonumber(attempt), tonumber(seq)
end
local attempt, seq = tonumber(ARGV[2]), tonumber(ARGV[3])
local fits
if seq == 0 then
    fits = ARGV[4] == '1' and last_attempt < attempt
else
    fits = last_attempt == attempt and last_seq == seq - 1
end
if not fits then
    return last_id
end
local lines = {}
for i = 6, #ARGV, 2 do
    local id = ARGV[2] .. '-' .. string.format('%.0f', seq)
    redis.call('XADD', KEYS[1], id, 't', ARGV[i], 'd', ARGV[i + 1])
    lines[#lines + 1] = id
    lines[#lines + 1] = ARGV[i]
    lines[#lines + 1] = ARGV[i + 1]
    seq = seq + 1
end
if ARGV[3] == '0' then
    redis.call('EXPIRE', KEYS[1], ARGV[5])
end
redis.call('PUBLISH', ARGV[1], table.concat(lines, '\n'))
return 1
