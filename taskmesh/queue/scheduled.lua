-- Shows messages that wait for their time, the next one first, in bounded steps.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: how many hints to pass over, how many messages to show (20 at most: each may hold megabytes)
-- Returns {how many hints there are, how many were passed or looked at, then per message its id, when it is due (ms), the
--   build that left it ('' = none), its record, how many hints were passed or looked at with it ...}. A hint whose message
--   has moved on is looked at and not shown.
local P, start, most = KEYS[1], tonumber(ARGV[1]), math.min(20, tonumber(ARGV[2]))
local hints = redis.call('ZRANGE', P .. 'd', start, start + 499, 'WITHSCORES')
local out, looked = {redis.call('ZCARD', P .. 'd'), 0}, 0
for i = 1, #hints, 2 do
  if #out >= 2 + 5 * most then break end
  looked = looked + 1
  local id, version = string.sub(hints[i], 1, -10), string.sub(hints[i], -8)
  local head = redis.call('GETRANGE', P .. 'r:' .. id, 1, 9)
  if (head == 'S' .. version) or (head == 'Y' .. version) then
    out[#out + 1] = id
    out[#out + 1] = hints[i + 1]
    out[#out + 1] = redis.call('HGET', P .. 'parked', id) or ''
    out[#out + 1] = redis.call('GET', P .. 'r:' .. id)
    out[#out + 1] = start + looked
  end
end
out[2] = start + looked
return out
