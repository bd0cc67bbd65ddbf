-- Tells of some queues when the oldest of the messages was sent that stand at the head of their lines, one a priority. What
-- is sent again, or was delayed, counts from when it was sent first. A hint whose message has moved on tells nothing.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: the queues
-- Returns per queue the ms at which it was sent (0: nothing waits).
local P, out = KEYS[1], {}
for i = 1, #ARGV do
  local oldest = 0
  for priority = 9, 0, -1 do
    local first = redis.call('LINDEX', P .. 'q:' .. ARGV[i] .. ':' .. priority, 0)
    local sent = first and redis.call('GETRANGE', P .. 'r:' .. string.sub(first, 1, -10), 62, 73)
    local ms = sent and tonumber(sent, 16) or 0
    if ms > 0 and (oldest == 0 or ms < oldest) then oldest = ms end
  end
  out[i] = oldest
end
return out
