-- Counts what is ready in some queues, and tells when the message was sent that is first in line. Of the workers' lines
-- only: a hint whose message has moved on is counted until a claim meets it.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: the queues
-- Returns a flat list: per queue how many are ready, and the ms at which the first was sent (0: unknown).
local P, out = KEYS[1], {}
for i = 1, #ARGV do
  local count, first = 0, nil
  for priority = 9, 0, -1 do
    local line = P .. 'q:' .. ARGV[i] .. ':' .. priority
    local length = redis.call('LLEN', line)
    if length > 0 and not first then first = redis.call('LINDEX', line, 0) end
    count = count + length
  end
  local sent = first and redis.call('GETRANGE', P .. 'r:' .. string.sub(first, 1, -10), 62, 73)
  out[2 * i - 1] = count
  out[2 * i] = sent and tonumber(sent, 16) or 0
end
return out
