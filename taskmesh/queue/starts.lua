-- Lists messages of a task that wait for a start while another limit holds than the one by which their moments were
-- reserved, and strikes off those that need not be told. What comes back may wait anew, so those of before are set apart.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, digest of the task, most messages, 'begin' to set apart all that wait now,
--   'go on', or 'end' to leave those that still wait to their moments, then ids to be struck off
-- Returns {how many of those set apart still wait, then their ids ...}.
local moments = P .. 'rate:' .. ARGV[3]
local before = P .. 'before:' .. ARGV[3]
if ARGV[5] == 'begin' and CALL('EXISTS', moments) == 1 then
  -- left by a process that died in the midst of this
  local left = CALL('ZRANGE', before, 0, -1, 'WITHSCORES')
  for i = 1, #left, 2 do CALL('ZADD', moments, left[i + 1], left[i]) end
  CALL('RENAME', moments, before)
end
for i = 6, #ARGV do CALL('ZREM', before, ARGV[i]) end
if ARGV[5] == 'end' then CALL('UNLINK', before) end
local out = {CALL('ZCARD', before)}
for i, id in ipairs(CALL('ZRANGE', before, 0, tonumber(ARGV[4]) - 1)) do out[i + 1] = id end
return out
