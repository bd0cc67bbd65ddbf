-- Has messages that wait for a start come back now.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, ids ...
-- Returns a string, a letter per message: 'T' its child has not said yet that it waits, else 'o': it comes back, or has
--   moved on, or is unknown.
local due = string.format('%012x', NOW)
local verdicts = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local key = P .. 'r:' .. id
  local head = CALL('GETRANGE', key, 0, 9)
  local state = string.sub(head, 2, 2)
  local hint = id .. ':' .. string.sub(head, 3, 10)
  local at = state == 'S' and tonumber(CALL('ZSCORE', P .. 'd', hint) or '')
  if at and at > NOW then
    CALL('ZADD', P .. 'd', NOW, hint)
    CALL('SETRANGE', key, 74, due)
  end
  verdicts[i - 2] = state == 'T' and 'T' or 'o'
end
return table.concat(verdicts)
