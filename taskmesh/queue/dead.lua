-- Shows dead letters.
-- flags: allow-oom
-- KEYS[1] prefix  ARGV: how many to pass over, how many to show, 'newest' or 'oldest' first, '1' for their records too
-- Returns {how many there are, how many were passed or shown, then per dead letter its id, the ms at which it died,
--   record or false, how many were passed or shown with it ...}.
local P, start = KEYS[1], tonumber(ARGV[1])
local dead, stop = P .. 'dead', start + tonumber(ARGV[2]) - 1
local found
if ARGV[3] == 'newest' then
  found = redis.call('ZRANGE', dead, start, stop, 'REV', 'WITHSCORES')
else
  found = redis.call('ZRANGE', dead, start, stop, 'WITHSCORES')
end
local out = {redis.call('ZCARD', dead), start + #found / 2}
for i = 1, #found, 2 do
  out[#out + 1] = found[i]
  out[#out + 1] = found[i + 1]
  out[#out + 1] = ARGV[4] == '1' and redis.call('GET', P .. 'r:' .. found[i])
  out[#out + 1] = start + (i + 1) / 2
end
return out
