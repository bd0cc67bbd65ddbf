-- Lists messages that wait though the time to begin is over; who asks signs that and ends them.
-- flags: allow-oom
-- parts: epoch, moves
-- KEYS[1] prefix  ARGV: epoch, now_ms, how many entries of the index to look at
-- Returns a flat list: id, version (8 hex) ... What runs, or has ended, is dropped from the index: a worker looks at the
--   time again before it begins.
local out = {}
local ids = CALL('ZRANGEBYSCORE', P .. 'e', '-inf', NOW, 'LIMIT', 0, ARGV[3])
for i = 1, #ids do
  local head = CALL('GETRANGE', P .. 'r:' .. ids[i], 1, 9)
  local state = string.sub(head, 1, 1)
  if state ~= 'T' and may_move(state, 'X') then
    out[#out + 1] = ids[i]
    out[#out + 1] = string.sub(head, 2)
  else
    CALL('ZREM', P .. 'e', ids[i])
  end
end
return out
