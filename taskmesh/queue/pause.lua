-- Pauses queues, and lets them go on. Both are idempotent.
-- flags: allow-oom
-- parts: epoch, ready
-- KEYS[1] prefix  ARGV: epoch, now_ms, 'pause' or 'resume', queue
-- Returns 1 if that changed anything, else 0.
-- Who is idle on a paused queue is registered apart (pidle:), where neither a hand-over nor a wake-up finds it.
local queue = ARGV[4]
local idle, apart = P .. 'idle:' .. queue, P .. 'pidle:' .. queue
if ARGV[3] == 'pause' then
  local changed = CALL('SADD', P .. 'paused', queue)
  local holders = CALL('ZRANGE', idle, 0, -1, 'WITHSCORES')
  for i = 1, #holders, 2 do CALL('ZADD', apart, holders[i + 1], holders[i]) end
  CALL('UNLINK', idle)
  return changed
end
local changed = CALL('SREM', P .. 'paused', queue)
local holders = CALL('ZRANGE', apart, 0, -1, 'WITHSCORES')
for i = 1, #holders, 2 do CALL('ZADD', idle, holders[i + 1], holders[i]) end
CALL('UNLINK', apart)
wake(queue, #holders / 2)
return changed
