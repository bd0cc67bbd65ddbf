-- Tells of some queues when the oldest of the messages was sent that stand at the head of their lines, one a priority. What
-- is sent again, or was delayed, counts from when it was sent first. Hints whose messages have moved on are passed over.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: the queues
-- Returns per queue the ms at which it was sent (0: nothing waits).
local P, out = KEYS[1], {}
-- a claim may have bared some that were revoked long ago; a look at them is bounded
local PASSED_MAX = 100

-- When the first was sent that waits in a line.
local function first_in(line)
  for at = 0, PASSED_MAX do
    local hint = redis.call('LINDEX', line, at)
    if not hint then return 0 end
    local rec = redis.call('GETRANGE', P .. 'r:' .. string.sub(hint, 1, -10), 1, 73)
    if string.sub(rec, 1, 9) == 'P' .. string.sub(hint, -8) then return tonumber(string.sub(rec, 62), 16) or 0 end
  end
  return 0
end

for i = 1, #ARGV do
  local oldest = 0
  for priority = 9, 0, -1 do
    local ms = first_in(P .. 'q:' .. ARGV[i] .. ':' .. priority)
    if ms > 0 and (oldest == 0 or ms < oldest) then oldest = ms end
  end
  out[i] = oldest
end
return out
