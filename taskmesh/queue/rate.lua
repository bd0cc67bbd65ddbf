-- Asks whether a message of a task with a rate limit may start now; else reserves a moment for it.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, digest of the task, us between two starts (0: the code says no limit), us that a
--   message may be late, id, name of the task: what an operator set for it (`settings`) holds instead of what the code says
-- Returns {1 granted, or 0 reserved; for which moment, in us; how late after that it may start, in us}, or {2} if there is
--   no limit.
-- What holds the limit is when starts were granted (GCRA): `rates` has the moment of the next one. Reservations only
-- spread those who wait: who comes late is granted a start as soon as one is free, and else reserves anew behind all
-- others. Who has none is granted one only while nobody waits, so that newcomers overtake nobody. If a reservation were
-- a right, messages that always come late, from behind a long line, would never start.
local interval, grace, id, now = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], NOW * 1000
local set = CALL('HGET', P .. 'settings', 'r ' .. ARGV[7])
if set then
  local set_interval, set_grace = string.match(set, ' (%d+) (%d+)$')
  interval, grace = tonumber(set_interval or '') or 0, tonumber(set_grace or '') or 0
end
if interval == 0 then return {2} end
local moments = P .. 'rate:' .. ARGV[3]
local KEPT_US = 3600 * 1000000
local function digits(us) return string.format('%.0f', us) end

-- of messages that were revoked meanwhile; who comes later than that is a newcomer
CALL('ZREMRANGEBYSCORE', moments, '-inf', digits(now - KEPT_US))
-- never farther than this limit says: another one may have held when it was noted
local free = math.min(tonumber(CALL('HGET', P .. 'rates', ARGV[3]) or '') or 0, now + interval + grace)
local mine = tonumber(CALL('ZSCORE', moments, id) or '')
-- one whose moment has just come may be on its way
local waiting = CALL('ZCOUNT', moments, digits(now - grace), '+inf')
if free - grace <= now and (mine and mine <= now or not mine and waiting == 0) then
  CALL('ZREM', moments, id)
  CALL('HSET', P .. 'rates', ARGV[3], digits(math.max(now, free) + interval))
  return {1, digits(now), grace}
end
if mine and mine > now then return {0, digits(mine), grace} end
local first = math.max(now, free)
local last = tonumber(CALL('ZRANGE', moments, -1, -1, 'WITHSCORES')[2] or '')
local moment = first
if waiting > 0 then
  moment = math.max(first, math.min(last + interval, first + (waiting + 1) * interval))
end
CALL('ZADD', moments, digits(moment), id)
return {0, digits(moment), grace}
