-- Has messages of a task that wait for a start come back now: another limit holds than the one by which their moments were
-- reserved. What comes back may wait anew, so those of before are set apart first.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, digest of the task, most messages, and 'begin' to set apart all that
--   wait now, 'go on', or 'end' to leave those that still wait to their moments
-- Returns how many of those set apart still wait: more than fit, and those whose child has not yet said that they do.
local moments = P .. 'rate:' .. ARGV[3]
local before = P .. 'before:' .. ARGV[3]
if ARGV[5] == 'begin' and CALL('EXISTS', moments) == 1 then
  -- left by a process that died in the midst of this
  local left = CALL('ZRANGE', before, 0, -1, 'WITHSCORES')
  for i = 1, #left, 2 do CALL('ZADD', moments, left[i + 1], left[i]) end
  CALL('RENAME', moments, before)
end
local due = string.format('%012x', NOW)
for _, id in ipairs(CALL('ZRANGE', before, 0, tonumber(ARGV[4]) - 1)) do
  local key = P .. 'r:' .. id
  local head = CALL('GETRANGE', key, 0, 9)
  if string.sub(head, 2, 2) ~= 'T' then
    local hint = id .. ':' .. string.sub(head, 3, 10)
    local at = string.sub(head, 2, 2) == 'S' and tonumber(CALL('ZSCORE', P .. 'd', hint) or '')
    if at and at > NOW then
      CALL('ZADD', P .. 'd', NOW, hint)
      CALL('SETRANGE', key, 74, due)
    end
    CALL('ZREM', before, id)
  end
end
if ARGV[5] == 'end' then CALL('UNLINK', before) end
return CALL('ZCARD', before)
