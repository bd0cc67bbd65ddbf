-- Sets what an operator says of a queue or a task. Idempotent.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, field, value (empty: nothing is set, and what the code says holds)
-- Returns 1 if that changed anything, else 0.
local key, field, value = P .. 'settings', ARGV[3], ARGV[4]
if (CALL('HGET', key, field) or '') == value then return 0 end
if value == '' then CALL('HDEL', key, field) else CALL('HSET', key, field, value) end
return 1
